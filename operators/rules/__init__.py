"""Rules over an Observation."""
