"""The official Python client, which was not written for us, before the embedded API server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import kubernetes as _kubernetes
import pytest

from demo.apiserver.server import ApiServer
from streams.config.crd import manifests
from tests.cluster.loop_thread import LoopThread
from tests.kit.acceptance import LEGACY, manifest

kubernetes = cast("Any", _kubernetes)

GROUP = "zen.kube-zen.io"
OBSERVATIONS = {"group": GROUP, "version": "v1", "plural": "observations"}
WATCH_SECONDS = 20


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of an embedded server that has the product's definitions."""
    kubeconfig = tmp_path_factory.mktemp("embedded") / "kubeconfig"
    with LoopThread("embedded-apiserver") as loop:
        server = ApiServer()
        loop.run(server.__aenter__())
        try:
            for crd in manifests():
                loop.call(lambda crd=crd: server.create(crd))
            with client_of(server.write_kubeconfig(kubeconfig)) as found:
                yield found
        finally:
            loop.run(server.__aexit__(None, None, None))


def client_of(kubeconfig: Path) -> Any:
    return kubernetes.config.new_client_from_config(str(kubeconfig))


def observation(name: str, **spec: Any) -> dict[str, Any]:
    return manifest("Observation", LEGACY | spec, version="v1", name=name)


def test_it_makes_lists_and_deletes_built_in_objects(client: Any) -> None:
    core = kubernetes.client.CoreV1Api(client)
    metadata = kubernetes.client.V1ObjectMeta(generate_name="made-", labels={"by": "client"})
    body = kubernetes.client.V1ConfigMap(metadata=metadata, data={"a": "1"})

    made = core.create_namespaced_config_map("default", body)
    listed = core.list_namespaced_config_map("default", label_selector="by=client")
    page = core.list_namespace(limit=1)

    assert made.metadata.name.startswith("made-")
    assert made.metadata.creation_timestamp.tzinfo is not None
    assert [one.metadata.name for one in listed.items] == [made.metadata.name]
    assert page.metadata._continue
    core.delete_namespaced_config_map(made.metadata.name, "default")
    with pytest.raises(kubernetes.client.ApiException) as gone:
        core.read_namespaced_config_map(made.metadata.name, "default")
    assert gone.value.status == 404


def test_it_patches_and_applies_custom_resources(client: Any) -> None:
    custom = kubernetes.client.CustomObjectsApi(client)
    where = OBSERVATIONS | {"namespace": "default"}
    custom.create_namespaced_custom_object(**where, body=observation("patched"))

    patched = custom.patch_namespaced_custom_object(
        **where, name="patched", body={"spec": {"severity": "low"}}
    )
    with pytest.raises(kubernetes.client.ApiException) as refused:
        custom.patch_namespaced_custom_object(
            **where, name="patched", body={"spec": {"severity": 3}}
        )

    assert patched["spec"]["severity"] == "low"
    assert patched["metadata"]["generation"] == 2
    assert refused.value.status == 422


def test_it_applies_on_the_server(client: Any) -> None:
    dynamic = kubernetes.dynamic.DynamicClient(client)
    observations = dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Observation")

    def apply(severity: str, *, manager: str, force: bool = False) -> Any:
        return observations.server_side_apply(
            body=observation("applied", severity=severity),
            namespace="default",
            name="applied",
            field_manager=manager,
            force_conflicts=force,
        )

    apply("high", manager="one")
    with pytest.raises(kubernetes.dynamic.exceptions.ConflictError):
        apply("low", manager="two")
    taken = apply("low", manager="two", force=True)

    assert taken.spec.severity == "low"
    assert {entry.manager for entry in taken.metadata.managedFields} == {"one", "two"}


def test_it_watches_from_a_list(client: Any) -> None:
    custom = kubernetes.client.CustomObjectsApi(client)
    where = OBSERVATIONS | {"namespace": "default"}
    listed = custom.list_namespaced_custom_object(**where)
    seen: list[tuple[str, str]] = []
    watch = kubernetes.watch.Watch()

    def follow() -> None:
        for event in watch.stream(
            custom.list_namespaced_custom_object,
            **where,
            resource_version=listed["metadata"]["resourceVersion"],
            timeout_seconds=WATCH_SECONDS,
        ):
            if event["object"]["metadata"]["name"] == "watched":
                seen.append((event["type"], event["object"]["spec"]["severity"]))
            if event["type"] == "DELETED":
                watch.stop()

    thread = threading.Thread(target=follow)
    thread.start()
    custom.create_namespaced_custom_object(**where, body=observation("watched"))
    custom.patch_namespaced_custom_object(
        **where, name="watched", body={"spec": {"severity": "low"}}
    )
    custom.delete_namespaced_custom_object(**where, name="watched")
    thread.join(WATCH_SECONDS)

    assert seen == [("ADDED", "high"), ("MODIFIED", "low"), ("DELETED", "low")]
