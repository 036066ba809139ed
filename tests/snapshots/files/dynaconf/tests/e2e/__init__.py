# From laterctl: e2e.
