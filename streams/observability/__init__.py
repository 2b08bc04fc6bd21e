"""Traces, metrics and logs: what is exported about events and the process.

Other packages are read through their data alone: a ticket's timeline, a ledger, a ``SourceStatus``.
"""
