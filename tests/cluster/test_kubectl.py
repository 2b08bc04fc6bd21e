"""kubectl, which was not written for us, before the embedded API server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import pytest

from demo.apiserver.server import ApiServer
from streams.config.crd import files
from tests.cluster.loop_thread import LoopThread
from tests.cluster.processes import CommandFailedError, Program, run, wait_until
from tests.kit.acceptance import CRD, GVR

WATCH_SECONDS = 20.0
APPLY = ("apply", "--filename=-")


class Kubectl(Protocol):
    def __call__(self, *arguments: str, given: object = None) -> str: ...


@pytest.fixture(scope="module")
def command(
    programs: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """kubectl, led to an embedded server that has the product's definitions."""
    folder = tmp_path_factory.mktemp("embedded")
    with LoopThread("embedded-apiserver") as loop:
        server = ApiServer()
        loop.run(server.__aenter__())
        try:
            kubeconfig = server.write_kubeconfig(folder / "kubeconfig")
            yield [
                str(programs["kubectl"]),
                f"--kubeconfig={kubeconfig}",
                f"--cache-dir={folder / 'cache'}",
            ]
        finally:
            loop.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def kubectl(command: list[str]) -> Kubectl:
    """What kubectl printed; raises CommandFailedError with what it said on stderr."""

    def call(*arguments: str, given: object = None) -> str:
        written = given if isinstance(given, str | None) else json.dumps(given)
        return run([*command, *arguments], input=written, environment={"KUBERC": "off"})

    call(*APPLY, "--validate=strict", given="".join(files().values()))
    call("wait", "crd", "--all", "--for=condition=Established", "--timeout=10s")
    return call


def ingester(name: str, *, source: str = "deployments") -> dict[str, Any]:
    return {
        "apiVersion": "zen.kube-zen.io/v1alpha1",
        "kind": "Ingester",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "source": source,
            "ingester": "informer",
            "informer": {"gvr": GVR},
            "destinations": [CRD],
        },
    }


def config_map(name: str, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_it_lists_what_is_served(kubectl: Kubectl) -> None:
    rows = words(kubectl("api-resources", "--no-headers"))

    assert ["ingesters", "ing,ingester", "zen.kube-zen.io/v1", "true", "Ingester"] in rows
    assert ["configmaps", "cm", "v1", "true", "ConfigMap"] in rows
    assert "zen.kube-zen.io/v1alpha1" in kubectl("api-versions").split()
    assert kubectl("get", "--raw=/readyz") == "ok"


def test_it_applies_from_its_own_side(kubectl: Kubectl) -> None:
    first = kubectl(*APPLY, given=ingester("mine"))
    same = kubectl(*APPLY, given=ingester("mine"))
    changed = kubectl(*APPLY, given=ingester("mine", source="other"))

    assert [text.split()[1] for text in (first, same, changed)] == [
        "created",
        "unchanged",
        "configured",
    ]
    row = words(kubectl("get", "ing", "mine", "--no-headers"))[0]
    assert row[:3] == ["mine", "other", "informer"]
    assert "-  source: other" in differing(kubectl, ingester("mine", source="third"))


def differing(kubectl: Kubectl, given: object) -> str:
    """What `kubectl diff` shows; its exit code says that there is something to show."""
    with pytest.raises(CommandFailedError) as shown:
        kubectl("diff", "--filename=-", given=given)
    assert shown.value.code == 1
    return shown.value.stdout


def test_it_applies_on_the_server_and_is_told_of_conflicts(kubectl: Kubectl) -> None:
    server_side = (*APPLY, "--server-side")
    kubectl(*server_side, "--field-manager=one", given=ingester("both"))

    with pytest.raises(CommandFailedError) as refused:
        kubectl(*server_side, "--field-manager=two", given=ingester("both", source="other"))
    assert 'conflict with "one": .spec.source' in refused.value.stderr

    forced = (*server_side, "--field-manager=two", "--force-conflicts")
    kubectl(*forced, given=ingester("both", source="other"))
    assert kubectl("get", "ing", "both", "--output=jsonpath={.spec.source}") == "other"


def test_it_is_told_what_is_wrong(kubectl: Kubectl) -> None:
    unknown = ingester("wrong")
    unknown["spec"]["colour"] = "red"
    bad = ingester("wrong", source="NOT GOOD")

    with pytest.raises(CommandFailedError) as strict:
        kubectl(*APPLY, given=unknown)
    with pytest.raises(CommandFailedError) as invalid:
        kubectl(*APPLY, given=bad)

    assert 'strict decoding error: unknown field "spec.colour"' in strict.value.stderr
    assert "spec.source in body should match '^[a-z0-9-]+$'" in invalid.value.stderr


def test_it_explains_every_field(kubectl: Kubectl) -> None:
    told = kubectl("explain", "ingesters.spec.informer.gvr")
    whole = kubectl("explain", "ingesters", "--recursive")

    assert "group\t<string> -required-" in told
    assert 'API group; "" is the core group.' in told
    assert "VERSION:    v1\n" in told
    assert "resyncPeriod" in whole
    assert "ObjectMeta" in whole


def test_it_describes_and_shows_in_several_forms(kubectl: Kubectl) -> None:
    kubectl(*APPLY, given=ingester("shown"))

    described = kubectl("describe", "ingester", "shown")
    assert "API Version:  zen.kube-zen.io/v1" in described
    assert "Resync Period:  0" in described
    assert "Events:             <none>" in described
    assert "source: deployments" in kubectl("get", "ing", "shown", "--output=yaml")
    assert kubectl("get", "ing", "shown", "--output=name") == "ingester.zen.kube-zen.io/shown\n"
    assert "default" in kubectl("get", "ingesters", "--all-namespaces", "--output=wide")
    assert ["default", "Active"] in [row[:2] for row in words(kubectl("get", "namespaces"))]


def test_it_patches_labels_and_annotates(kubectl: Kubectl) -> None:
    kubectl(*APPLY, given=ingester("patched"))
    kubectl(*APPLY, given=config_map("patched", a="1", b="2"))

    kubectl("patch", "ing", "patched", "--type=merge", '--patch={"spec":{"source":"m"}}')
    operation = '[{"op":"add","path":"/spec/onDelete","value":"ignore"}]'
    kubectl("patch", "ing", "patched", "--type=json", f"--patch={operation}")
    kubectl("patch", "configmap", "patched", '--patch={"data":{"a":null,"c":"3"}}')
    kubectl("label", "ing", "patched", "colour=red")
    kubectl("annotate", "ing", "patched", "note=well")

    spec = json.loads(kubectl("get", "ing", "patched", "--output=json"))
    assert spec["spec"]["source"] == "m"
    assert spec["spec"]["onDelete"] == "ignore"
    assert spec["metadata"]["annotations"]["note"] == "well"
    assert kubectl("get", "ing", "--selector=colour=red", "--output=name").split() == [
        "ingester.zen.kube-zen.io/patched"
    ]
    kept = json.loads(kubectl("get", "configmap", "patched", "--output=json"))
    assert kept["data"] == {"b": "2", "c": "3"}


def test_it_watches_waits_and_deletes(kubectl: Kubectl, command: list[str], tmp_path: Path) -> None:
    kubectl(*APPLY, given=ingester("watched"))
    log = tmp_path / "watch.log"
    watch = Program(
        [*command, "get", "ing", "watched", "--watch", "--output-watch-events"], log=log
    )
    waiting = Program(
        [*command, "wait", "ing/watched", "--for=delete", f"--timeout={WATCH_SECONDS:g}s"],
        log=tmp_path / "wait.log",
    )

    def seen(*expected: str) -> bool:
        return any(row[: len(expected)] == list(expected) for row in words(log.read_text()))

    try:
        wait_until(lambda: seen("ADDED", "watched"), seconds=WATCH_SECONDS, what="the first row")
        patch = '--patch={"spec":{"source":"changed"}}'
        kubectl("patch", "ing", "watched", "--type=merge", patch)
        row = ("MODIFIED", "watched", "changed")
        wait_until(lambda: seen(*row), seconds=WATCH_SECONDS, what="the change")
        assert kubectl("delete", "ing", "watched").startswith("ingester.zen.kube-zen.io")
        wait_until(lambda: seen("DELETED", "watched"), seconds=WATCH_SECONDS, what="the end")
        wait_until(lambda: not waiting.running(), seconds=WATCH_SECONDS, what="kubectl wait")
    finally:
        watch.stop()
        waiting.stop()
    assert "condition met" in (tmp_path / "wait.log").read_text()
    with pytest.raises(CommandFailedError, match="not found"):
        kubectl("get", "ing", "watched")
