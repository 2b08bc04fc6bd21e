"""Shared informers: one list and one watch of a target, delivered to all its subscribers."""
