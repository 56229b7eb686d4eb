"""The OpenFlow side: the pipeline compiler and the Ryu application that installs its programs."""
