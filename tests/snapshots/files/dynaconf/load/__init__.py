# From laterctl: load.
