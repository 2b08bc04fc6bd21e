"""Where events come from: each source is an observable of raw events."""
