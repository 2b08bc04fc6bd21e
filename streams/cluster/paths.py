"""Where a resource lives in the API of Kubernetes."""

from __future__ import annotations

from urllib.parse import quote


def resource_path(
    group: str,
    version: str,
    resource: str,
    *,
    namespace: str = "",
    name: str = "",
    subresource: str = "",
) -> str:
    """The path of a collection, an object or its subresource, percent-encoded.

    An empty group is the core group. Raises ``ValueError`` for what no path can hold: an empty
    version or resource, a subresource without a name, and the segments the server refuses
    (apimachinery, ``IsValidPathSegmentName``).
    """
    if not version or not resource:
        raise ValueError(f"version {version!r} and resource {resource!r} must not be empty")
    if subresource and not name:
        raise ValueError(f"the subresource {subresource!r} needs the name of an object")
    return group_path(group, version) + "".join(
        f"/{_segment(part)}"
        for part in (*(("namespaces", namespace) if namespace else ()), resource, name, subresource)
        if part
    )


def group_path(group: str, version: str) -> str:
    """The path under which one version of a group is served."""
    if group:
        return f"/apis/{_segment(group)}/{_segment(version)}"
    return f"/api/{_segment(version)}"


def _segment(text: str) -> str:
    if text in {".", ".."} or "/" in text or "%" in text:
        raise ValueError(f"{text!r} is no segment of a path")
    return quote(text, safe="")
