"""Paths of the Kubernetes API."""

from __future__ import annotations

import pytest

from streams.cluster.resources import group_path, resource_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (resource_path("", "v1", "pods"), "/api/v1/pods"),
        (resource_path("", "v1", "pods", namespace="a"), "/api/v1/namespaces/a/pods"),
        (resource_path("", "v1", "namespaces", name="a"), "/api/v1/namespaces/a"),
        (
            resource_path("", "v1", "pods", namespace="a", name="b", subresource="log"),
            "/api/v1/namespaces/a/pods/b/log",
        ),
        (
            resource_path("rbac.io", "v1", "roles", namespace="a", name="system:x y"),
            "/apis/rbac.io/v1/namespaces/a/roles/system%3Ax%20y",
        ),
        (group_path("apps", "v1"), "/apis/apps/v1"),
        (group_path("", "v1"), "/api/v1"),
    ],
)
def test_where_a_resource_lives(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize("name", [".", "..", "a/b", "a%2fb"])
def test_a_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="segment"):
        resource_path("", "v1", "pods", namespace="a", name=name)
    with pytest.raises(ValueError, match="segment"):
        resource_path("", "v1", "pods", namespace=name)


def test_half_a_coordinate_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        resource_path("", "", "pods")
    with pytest.raises(ValueError, match="empty"):
        resource_path("", "v1", "")
    with pytest.raises(ValueError, match="name"):
        resource_path("", "v1", "pods", subresource="log")
