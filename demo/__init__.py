"""The demonstration: the real product against the embedded API server, fed with realistic objects."""
