"""The algebra: what flows, and what may be done to it."""
