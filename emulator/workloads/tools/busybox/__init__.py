"""Programs that busybox images find before the applets of the host."""
