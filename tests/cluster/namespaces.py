"""What the controllers of a whole cluster do to a namespace, done by hand where there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cluster.processes import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.api import Api

QUOTA = "tests"
PROBED = "count/controllerrevisions.apps"
"""A kind that no test makes: its own limit in the quota tells which quota admission works from."""

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class ContentLeftError(RuntimeError):
    """A namespace cannot be finalized: something in it waits for a finalizer of its own."""


def set_quota(api: Api, namespace: str, resource: str, *, hard: int, used: int = 0) -> None:
    """Limit a resource of the namespace, e.g. `count/observations.zen.kube-zen.io`, from now on.

    Admission works from the quota's status, which the quota controller fills in on a whole cluster;
    here it is filled in once, with `used`. Admission itself counts up with every create; nothing
    counts down: after a delete, set the quota again. Returns when the API server enforces it.
    """
    path = f"/api/v1/namespaces/{namespace}/resourcequotas"
    found = api.request("GET", f"{path}/{QUOTA}")
    if found.status == 404:
        api.need("POST", path, body={"metadata": {"name": QUOTA}, "spec": {"hard": {PROBED: "0"}}})
    mark = _write_quota(api, f"{path}/{QUOTA}", resource=resource, hard=hard, used=used)
    wait_until(
        lambda: _enforced(api, namespace, mark), seconds=10, what=f"the quota {resource}={hard}"
    )


def _write_quota(api: Api, path: str, *, resource: str, hard: int, used: int) -> int:
    quota = api.need("GET", path)
    mark = int(quota["spec"]["hard"][PROBED]) + 1
    limits = quota["spec"]["hard"] | {resource: str(hard), PROBED: str(mark)}
    counted = quota["status"].get("used", {}) | {resource: str(used), PROBED: str(mark)}
    merge = "application/merge-patch+json"
    api.need("PATCH", path, body={"spec": {"hard": limits}}, content_type=merge)
    status = {"status": {"hard": limits, "used": counted}}
    api.need("PATCH", f"{path}/status", body=status, content_type=merge)
    return mark


def _enforced(api: Api, namespace: str, mark: int) -> bool:
    probe = {"metadata": {"name": "quota-probe"}, "revision": 1, "data": {}}
    path = f"/apis/apps/v1/namespaces/{namespace}/controllerrevisions?dryRun=All"
    return f"limited: {PROBED}={mark}".encode() in api.request("POST", path, body=probe).body


def finalize_namespace(api: Api, name: str) -> None:
    """Remove the namespace with all that is in it, as the namespace controller would.

    Raises ContentLeftError where something in it has finalizers: the controller would wait for
    whoever takes them off. A namespace that is gone already is no error.
    """
    path = f"/api/v1/namespaces/{name}"
    if api.request("DELETE", path).status == 404:
        return
    for collection in _collections(api, name):
        api.need("DELETE", collection)
        left = api.need("GET", f"{collection}?limit=1")["items"]
        if left:
            raise ContentLeftError(f"{collection}: {left[0]['metadata']['name']} has finalizers")
    namespace = api.need("GET", path)
    namespace["spec"]["finalizers"] = []
    api.need("PUT", f"{path}/finalize", body=namespace)


def _collections(api: Api, namespace: str) -> Iterator[str]:
    for root in ("/api", "/apis"):
        for group in api.need("GET", root, accept=DISCOVERY)["items"]:
            version = group["versions"][0]
            top = "/".join([root, *([group["metadata"]["name"]] if root == "/apis" else [])])
            for kind in version["resources"]:
                if kind["scope"] == "Namespaced" and "deletecollection" in kind["verbs"]:
                    yield f"{top}/{version['version']}/namespaces/{namespace}/{kind['resource']}"
