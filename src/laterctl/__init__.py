"""Adds production features to FastAPI projects that already exist."""

__version__ = "0.2.0"
