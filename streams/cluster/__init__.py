"""The one package that speaks to a Kubernetes API server: access, limits, requests, watches."""

from __future__ import annotations
