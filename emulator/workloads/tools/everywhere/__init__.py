"""Programs that containers of every image find before this machine's own of the same name."""
