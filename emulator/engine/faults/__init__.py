"""Makes faults happen in the running network, and undoes them."""
