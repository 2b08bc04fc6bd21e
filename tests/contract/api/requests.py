"""How checks ask: paths of plain kinds, and watches read to their end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from tests.cluster.api import Api

Fields = dict[str, Any]

MERGE = "application/merge-patch+json"


def maps(namespace: str, name: str = "", query: str = "") -> str:
    """ConfigMaps, or one of them."""
    at = f"/{name}" if name else ""
    return f"/api/v1/namespaces/{namespace}/configmaps{at}" + (f"?{query}" if query else "")


def events(namespace: str, query: str = "") -> str:
    """Events, of which a server's history can be forgotten."""
    return f"/api/v1/namespaces/{namespace}/events" + (f"?{query}" if query else "")


def event(name: str, namespace: str, **more: Any) -> Fields:
    """An Event about a Pod of its namespace."""
    about = {"kind": "Pod", "namespace": namespace, "name": "x"}
    return {"metadata": {"name": name}, "involvedObject": about, "reason": "R", **more}


def config_map(name: str, *, labels: Fields | None = None, **data: str) -> Fields:
    """A ConfigMap."""
    metadata = {"name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def observations(namespace: str, name: str = "", of: str = "v1") -> str:
    """Observations in one of their versions, or one of them."""
    at = f"/{name}" if name else ""
    return f"/apis/zen.kube-zen.io/{of}/namespaces/{namespace}/observations{at}"


def observation(name: str, of: str = "v1", **spec: str) -> Fields:
    """An Observation."""
    told = {"source": "s", "category": "security", "severity": "high", "eventType": "e", **spec}
    named = {"apiVersion": f"zen.kube-zen.io/{of}", "kind": "Observation"}
    return {**named, "metadata": {"name": name}, "spec": told}


def make(api: Api, namespace: str, *names: str, **more: Any) -> list[Fields]:
    """Create ConfigMaps."""
    return [api.need("POST", maps(namespace), body=config_map(name, **more)) for name in names]


def version(obj: Fields) -> str:
    """The resourceVersion of an object or a list."""
    return obj["metadata"]["resourceVersion"]


def names(listed: Fields) -> list[str]:
    """The names in a list."""
    return [one["metadata"]["name"] for one in listed["items"]]


def watched(api: Api, path: str, *, seconds: int = 1) -> list[Fields]:
    """All that a watch tells until its time is up."""
    joint = "&" if "?" in path else "?"
    answer = api.request("GET", f"{path}{joint}watch=true&timeoutSeconds={seconds}")
    assert answer.status == 200, answer.body
    return [msgspec.json.decode(line) for line in answer.body.splitlines() if line]


def told(lines: list[Fields]) -> list[tuple[str, str]]:
    """What a watch said: the change and the name of each line."""
    return [(it["type"], it["object"]["metadata"].get("name", "")) for it in lines]
