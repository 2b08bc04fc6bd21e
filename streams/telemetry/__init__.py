"""OpenTelemetry: configured by its own variables, spoken here and nowhere else."""
