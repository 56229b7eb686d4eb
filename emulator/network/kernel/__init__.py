"""What the kernel has to know for the network to be as planned; whether it does; and putting it right."""
