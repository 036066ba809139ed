"""The ways in which projects do the same thing, one module each with all that is done in it."""
