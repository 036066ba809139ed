"""Databases: SQLAlchemy 2, asynchronous or synchronous, and SQLModel."""
