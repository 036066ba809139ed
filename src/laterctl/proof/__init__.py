"""Proof: that a changeset leaves the project whole, before it is written and, when asked, by running it."""
