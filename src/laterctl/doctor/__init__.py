"""Looks for known mistakes in the user's code, and at what became of installed features."""
