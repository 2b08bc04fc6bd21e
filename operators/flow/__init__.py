"""How it flows: deliveries, stages, capacity and time."""
