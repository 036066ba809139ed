# From laterctl: migrations.
