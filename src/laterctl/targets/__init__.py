"""What laterctl puts into documents: one module a kind of target, with all its verbs."""
