"""What runs inside pods: the kubelet and the container runtime of the emulator, in the engine's process."""
