"""The API group of the product's own resources: where its group and versions are spelled."""

from __future__ import annotations

from typing import Final

GROUP: Final = "zen.kube-zen.io"
VERSIONS: Final = ("v1alpha1", "v1")
"""Every version that is served; the first is the one stored in etcd, and the one that is written."""
API_VERSION: Final = f"{GROUP}/{VERSIONS[0]}"
"""The ``apiVersion`` of what is written."""
OBSERVATIONS: Final = "observations"
INGESTERS: Final = "ingesters"
"""Plural names of the resources."""
