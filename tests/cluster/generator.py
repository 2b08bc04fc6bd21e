"""What happens in a namespace during a test, and what ought to be known of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.cluster.api import Answer, Api, RefusedError
from tests.cluster.processes import wait_until

OBSERVATIONS = "/apis/zen.kube-zen.io/v1alpha1"
GROUP = "example.zen.invalid"
BAD_REQUEST, TOO_MANY_REQUESTS = 400, 429

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {
            "kind": "Widget",
            "plural": "widgets",
            "singular": "widget",
            "listKind": "WidgetList",
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


class Generator:
    """Makes, changes and deletes objects of one namespace, and remembers the last state of each."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace
        self.widgets: dict[str, dict[str, Any]] = {}
        self.deleted: set[str] = set()
        self.sent = 0

    @property
    def path(self) -> str:
        """Where the widgets are."""
        return f"/apis/{GROUP}/v1/namespaces/{self.namespace}/widgets"

    def widget(
        self, name: str, value: int, *, labels: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Make a widget, or change it; what the server says it is now."""
        body = {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Widget",
            "metadata": {"name": name, "labels": labels or {}},
            "data": {"value": value},
        }
        query = "fieldManager=generator&force=true"
        now = self._need(
            "PATCH",
            f"{self.path}/{name}?{query}",
            body=body,
            content_type="application/apply-patch+yaml",
        )
        self.sent += 1
        self.widgets[name] = body
        self.deleted.discard(name)
        return now

    def delete(self, name: str) -> None:
        """Delete a widget."""
        self._need("DELETE", f"{self.path}/{name}")
        self.sent += 1
        del self.widgets[name]
        self.deleted.add(name)

    def event(self, name: str, *, about: str, reason: str, count: int) -> None:
        """Tell a Kubernetes Event, or that it happened again."""
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": self.namespace},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": self.namespace,
                "name": about,
                "uid": f"uid-{about}",
            },
            "type": "Warning",
            "reason": reason,
            "message": f"{reason} for {about}",
            "reportingComponent": "kubelet",
            "source": {"component": "kubelet"},
            "count": count,
            "firstTimestamp": "2026-11-20T06:00:00Z",
            "lastTimestamp": f"2026-11-20T06:{count % 60:02d}:00Z",
        }
        path = f"/api/v1/namespaces/{self.namespace}/events"
        answer = self.api.request("POST", path, body=body)
        if answer.status == 409:
            self._need(
                "PATCH", f"{path}/{name}", body=body, content_type="application/merge-patch+json"
            )
        else:
            assert answer.status == 201, answer.body
        self.sent += 1

    def observations(self) -> list[dict[str, Any]]:
        """Every Observation of the namespace."""
        path = f"{OBSERVATIONS}/namespaces/{self.namespace}/observations"
        return self._need("GET", path)["items"]

    def _need(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """As Api.need, but a server that has just started is asked again while it says 429."""
        answers: list[Answer] = []

        def told() -> bool:
            answers.append(self.api.request(method, path, **how))
            return answers[-1].status != TOO_MANY_REQUESTS

        wait_until(told, seconds=30, what=f"{method} {path}")
        if answers[-1].status >= BAD_REQUEST:
            raise RefusedError(f"{method} {path}", answers[-1])
        return answers[-1].json()

    def assert_widgets(self, source: str = "") -> None:
        """Each widget has one Observation in its last state, each deleted one at most one, resolved.

        Of one source, where several watch the same.
        """
        by_name: dict[str, list[dict[str, Any]]] = {}
        for one in self.observations():
            told = one["spec"]["source"] if source else ""
            if told == source and one["spec"]["resource"]["kind"] == "Widget":
                by_name.setdefault(one["spec"]["resource"]["name"], []).append(one["spec"])
        for name, body in self.widgets.items():
            assert len(by_name.get(name, [])) == 1, f"{name}: {by_name.get(name)}"
            (spec,) = by_name[name]
            assert "resolvedAt" not in spec, name
            assert spec["details"]["data"] == body["data"], name
        for name in self.deleted:
            found = by_name.get(name, [])
            assert len(found) <= 1, name
            assert all("resolvedAt" in spec for spec in found), name
        assert set(by_name) <= set(self.widgets) | self.deleted


def at_once(tasks: Iterable[Callable[[], object]], *, workers: int = 16) -> None:
    """Do many things concurrently; the first failure is raised."""
    with ThreadPoolExecutor(workers) as pool:
        for future in [pool.submit(task) for task in tasks]:
            future.result()
