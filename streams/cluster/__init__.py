"""The one package that sends requests to a Kubernetes API server: credentials, rate limit, requests, watches."""

from __future__ import annotations
