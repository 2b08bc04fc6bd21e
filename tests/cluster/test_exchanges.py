from __future__ import annotations

import pytest

from tests.cluster.exchanges import Exchange, Rules, kind_of


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/api/v1/configmaps", "list"),
        ("GET", "/api/v1/namespaces", "list"),
        ("GET", "/api/v1/namespaces/a/configmaps", "list"),
        ("GET", "/apis/zen.kube-zen.io/v1/observations", "list"),
        ("GET", "/apis/zen.kube-zen.io/v1/namespaces/a/observations", "list"),
        ("GET", "/api/v1/namespaces/a", "other"),
        ("GET", "/api/v1/namespaces/a/configmaps/b", "other"),
        ("GET", "/api/v1/namespaces/a/pods/b/log", "other"),
        ("GET", "/apis/zen.kube-zen.io/v1", "other"),
        ("GET", "/version", "other"),
        ("PATCH", "/api/v1/namespaces/a/configmaps/b", "write"),
        ("DELETE", "/api/v1/namespaces/a/configmaps", "write"),
    ],
)
def test_requests_are_told_apart(method: str, path: str, kind: str) -> None:
    assert kind_of(method, path, {}) == kind
    assert kind_of("GET", "/api/v1/configmaps", {"watch": "true"}) == "watch"
    assert kind_of("GET", "/api/v1/configmaps", {"watch": "false"}) == "list"


def test_rules_are_used_up_in_their_order() -> None:
    rules = Rules[str]()
    asked = [Exchange("GET", path, {}, {}, "other", 0.0) for path in ("/a", "/b")]
    rules.add(lambda it: it.path == "/a", "first", times=1)
    rules.add(lambda _: True, "second", times=2)
    rules.add(lambda it: it.path == "/b", "third", times=None)

    assert [rules.take(asked[0]) for _ in range(4)] == ["first", "second", "second", None]
    assert [rules.take(asked[1]) for _ in range(2)] == ["third", "third"]
    rules.clear()
    assert rules.take(asked[1]) is None
