"""Traces: spans made from an event's timeline when it has ended, and the choice of those to keep.

Nothing here knows OpenTelemetry's code, only its words; ``streams.observability`` sends what is kept.
"""
