"""What is refused, and in which words: the status, the reason and the message of both servers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.api.requests import MERGE, config_map

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.contract.api.subject import Subject

MAPS = "/api/v1/namespaces/{ns}/configmaps"
PODS = "/api/v1/pods"
OBSERVATIONS = "/apis/zen.kube-zen.io/v1/namespaces/{ns}/observations"
NOT_THE_RESOURCE = "the server could not find the requested resource"
NOT_ALLOWED = "the server does not allow this method on the requested resource"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters"
STALE = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True)
class Case:
    """One request, and how it is refused; `said` is a part of the message."""

    method: str
    path: str
    status: int
    reason: str | None
    said: str
    body: Any = None
    content_type: str = "application/json"


def spec(**more: Any) -> dict[str, Any]:
    fields = {"source": "s", "category": "security", "severity": "high", "eventType": "e"}
    return fields | more


def observation(kind: str = "Observation", version: str = "v1", **more: Any) -> dict[str, Any]:
    named = {"apiVersion": f"zen.kube-zen.io/{version}", "kind": kind}
    return {**named, "metadata": {"name": "o"}, "spec": spec(), **more}


def named(name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **more}}


CASES = {
    "no such resource": Case("GET", "/api/v1/nothings", 404, "NotFound", NOT_THE_RESOURCE),
    "no such version": Case("GET", "/apis/apps/v9/deployments", 404, "NotFound", NOT_THE_RESOURCE),
    "cluster kind in a namespace": Case(
        "GET", "/api/v1/namespaces/{ns}/nodes", 404, "NotFound", NOT_THE_RESOURCE
    ),
    "no such subresource": Case(
        "GET", "/api/v1/namespaces/{ns}/pods/a/b", 404, "NotFound", NOT_THE_RESOURCE
    ),
    "no such group": Case("GET", "/apis/none/v1/foos", 404, None, "404 page not found"),
    "no such path": Case("GET", "/nothing", 404, None, "404 page not found"),
    "no such custom resource": Case(
        "GET", "/apis/zen.kube-zen.io/v1/foos", 404, None, "404 page not found"
    ),
    "no such object": Case("GET", MAPS + "/x", 404, "NotFound", 'configmaps "x" not found'),
    "no such custom object": Case(
        "GET", OBSERVATIONS + "/x", 404, "NotFound", 'observations.zen.kube-zen.io "x" not found'
    ),
    "patch of a collection": Case("PATCH", MAPS, 405, "MethodNotAllowed", NOT_ALLOWED, {}),
    "post to an object": Case("POST", MAPS + "/x", 405, "MethodNotAllowed", NOT_ALLOWED, {}),
    "post outside of namespaces": Case("POST", PODS, 405, "MethodNotAllowed", NOT_ALLOWED, {}),
    "delete all namespaces": Case(
        "DELETE", "/api/v1/namespaces", 405, "MethodNotAllowed", NOT_ALLOWED
    ),
    "delete of default": Case(
        "DELETE",
        "/api/v1/namespaces/default",
        403,
        "Forbidden",
        'namespaces "default" is forbidden: this namespace may not be deleted',
    ),
    "taken name": Case(
        "POST", MAPS, 409, "AlreadyExists", 'configmaps "taken" already exists', named("taken")
    ),
    "missing namespace": Case(
        "POST",
        "/api/v1/namespaces/missing/configmaps",
        404,
        "NotFound",
        'namespaces "missing" not found',
        named("b"),
    ),
    "another namespace": Case(
        "POST",
        MAPS,
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
        named("b", namespace="other"),
    ),
    "no name": Case(
        "POST",
        MAPS,
        422,
        "Invalid",
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
        {"metadata": {}},
    ),
    "upper case name": Case(
        "POST",
        MAPS,
        422,
        "Invalid",
        f'ConfigMap "A_" is invalid: metadata.name: Invalid value: "A_": {SUBDOMAIN}',
        named("A_"),
    ),
    "namespace with an underscore": Case(
        "POST",
        "/api/v1/namespaces",
        422,
        "Invalid",
        'Namespace "n_1" is invalid: metadata.name: Invalid value: "n_1": a lowercase RFC 1123 label',
        named("n_1"),
    ),
    "label key": Case(
        "POST",
        MAPS,
        422,
        "Invalid",
        'metadata.labels: Invalid value: "a b": name part must consist of alphanumeric characters',
        named("b", labels={"a b": "c"}),
    ),
    "label value": Case(
        "POST",
        MAPS,
        422,
        "Invalid",
        'metadata.labels: Invalid value: "c c": a valid label must be an empty string or consist of',
        named("b", labels={"a": "c c"}),
    ),
    "label that is no string": Case(
        "POST",
        MAPS,
        400,
        "BadRequest",
        "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string",
        named("b", labels={"a": 1}),
    ),
    "finalizer without a domain": Case(
        "POST",
        MAPS,
        422,
        "Invalid",
        'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name',
        named("b", finalizers=["x"]),
    ),
    "version at creation": Case(
        "POST",
        MAPS,
        500,
        None,
        "resourceVersion should not be set on objects to be created",
        named("b", resourceVersion="5"),
    ),
    "another kind": Case(
        "POST",
        MAPS,
        400,
        "BadRequest",
        'Pod in version "v1" cannot be handled as a ConfigMap',
        {"apiVersion": "v1", "kind": "Pod", **named("b")},
    ),
    "broken JSON": Case(
        "POST", MAPS, 400, "BadRequest", "unexpected end of JSON input", b'{"nonsense'
    ),
    "a list": Case("POST", MAPS, 400, "BadRequest", "the object provided is unrecognized", []),
    "a body of text": Case(
        "POST",
        MAPS,
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: application/json",
        b"abc",
        content_type="text/plain",
    ),
    "a patch of an unknown type": Case(
        "PATCH", MAPS + "/taken", 415, "UnsupportedMediaType", "415", {}, content_type="text/plain"
    ),
    "unknown dryRun": Case(
        "POST",
        MAPS + "?dryRun=x",
        422,
        "Invalid",
        'CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["x"]: supported values: "All"',
        named("b"),
    ),
    "unknown fieldValidation": Case(
        "POST",
        MAPS + "?fieldValidation=x",
        422,
        "Invalid",
        'fieldValidation: Unsupported value: "x": supported values: "", "Ignore", "Strict", "Warn"',
        named("b"),
    ),
    "stale version": Case(
        "PUT",
        MAPS + "/taken",
        409,
        "Conflict",
        f'Operation cannot be fulfilled on configmaps "taken": {STALE}',
        named("taken", resourceVersion="1"),
    ),
    "another uid": Case(
        "PUT",
        MAPS + "/taken",
        409,
        "Conflict",
        "Precondition failed: UID in precondition: nope, UID in object meta: ",
        named("taken", uid="nope"),
    ),
    "another name": Case(
        "PUT",
        MAPS + "/taken",
        400,
        "BadRequest",
        "the name of the object (b) does not match the name on the URL (taken)",
        named("b"),
    ),
    "a put without a name": Case(
        "PUT",
        MAPS + "/taken",
        400,
        "BadRequest",
        "the name of the object (taken based on URL) was undeterminable: name must be provided",
        {"data": {}},
    ),
    "a put of nothing": Case(
        "PUT", MAPS + "/zz", 404, "NotFound", 'configmaps "zz" not found', named("zz")
    ),
    "delete precondition": Case(
        "DELETE",
        MAPS + "/taken",
        409,
        "Conflict",
        'Operation cannot be fulfilled on ConfigMap "taken": the UID in the precondition (x) does not match',
        {"preconditions": {"uid": "x"}},
    ),
    "unknown propagation": Case(
        "DELETE",
        MAPS + "/taken",
        422,
        "Invalid",
        'propagationPolicy: Unsupported value: "Foo"',
        {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foo"},
    ),
    "future version": Case(
        "GET", PODS + "?resourceVersion=999999999", 504, "Timeout", "Too large resource version"
    ),
    "version that is none": Case(
        "GET", PODS + "?resourceVersion=abc", 400, "BadRequest", "invalid resource version"
    ),
    "match without a version": Case(
        "GET",
        PODS + "?resourceVersionMatch=Exact",
        422,
        "Invalid",
        "resourceVersionMatch is forbidden unless resourceVersion is provided",
    ),
    "exactly version 0": Case(
        "GET",
        PODS + "?resourceVersion=0&resourceVersionMatch=Exact",
        422,
        "Invalid",
        'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    ),
    "unknown match": Case(
        "GET",
        PODS + "?resourceVersion=5&resourceVersionMatch=Foo",
        422,
        "Invalid",
        'Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""',
    ),
    "limit that is none": Case("GET", PODS + "?limit=abc", 400, "BadRequest", "invalid syntax"),
    "bogus continue token": Case(
        "GET",
        PODS + "?continue=bogus",
        400,
        "BadRequest",
        "invalid continue token: continue key is not valid: illegal base64 data at input byte 4",
    ),
    "watch match without initial events": Case(
        "GET",
        PODS + "?watch=1&resourceVersionMatch=NotOlderThan",
        422,
        "Invalid",
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    ),
    "initial events without a match": Case(
        "GET",
        PODS + "?watch=1&sendInitialEvents=true",
        422,
        "Invalid",
        "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    ),
    "initial events of a list": Case(
        "GET",
        PODS + "?sendInitialEvents=true",
        422,
        "Invalid",
        "sendInitialEvents is forbidden for list",
    ),
    "watch from a version that is none": Case(
        "GET", PODS + "?watch=1&resourceVersion=abc", 500, None, 'parsing "abc": invalid syntax'
    ),
    "unknown field selector": Case(
        "GET", PODS + "?fieldSelector=foo=bar", 400, "BadRequest", "field label not supported: foo"
    ),
    "field selector of a plain kind": Case(
        "GET",
        MAPS + "?fieldSelector=foo=bar",
        400,
        "BadRequest",
        '"foo" is not a known field selector',
    ),
    "no acceptable type": Case(
        "GET",
        MAPS,
        406,
        "NotAcceptable",
        "application/json, application/yaml",
        content_type="ACCEPT",
    ),
    "custom object without a kind": Case(
        "POST",
        OBSERVATIONS,
        400,
        "BadRequest",
        "the object provided is unrecognized (must be of type Observation): Object 'Kind' is missing",
        named("o"),
    ),
    "custom object of another version": Case(
        "POST",
        OBSERVATIONS,
        400,
        "BadRequest",
        "the API version in the data (zen.kube-zen.io/v1alpha1) does not match the expected API version",
        observation(version="v1alpha1"),
    ),
    "custom object of another kind": Case(
        "POST",
        OBSERVATIONS,
        422,
        "Invalid",
        'Ingester.zen.kube-zen.io "o" is invalid: kind: Invalid value: "Ingester": must be Observation',
        observation("Ingester"),
    ),
    "custom put without a version": Case(
        "PUT",
        OBSERVATIONS + "/o",
        422,
        "Invalid",
        'observations.zen.kube-zen.io "o" is invalid: metadata.resourceVersion: Invalid value: 0: '
        "must be specified for an update",
        observation(),
    ),
    "strategic patch of a custom object": Case(
        "PATCH",
        OBSERVATIONS + "/o",
        415,
        "UnsupportedMediaType",
        "accepted media types include: application/json-patch+json, application/merge-patch+json, "
        "application/apply-patch+yaml",
        {},
        content_type="application/strategic-merge-patch+json",
    ),
    "patch of nothing": Case(
        "PATCH", MAPS + "/zz", 404, "NotFound", 'configmaps "zz" not found', {}, content_type=MERGE
    ),
}


@pytest.fixture(scope="module")
def place(subject: Subject, shared: str) -> str:
    """A namespace with one object of each of two kinds; what is refused changes nothing there."""
    subject.api.need("POST", MAPS.format(ns=shared), body=config_map("taken"))
    subject.api.need("POST", OBSERVATIONS.format(ns=shared), body=observation())
    return shared


@pytest.mark.parametrize("name", CASES)
def test_refused(api: Api, place: str, name: str) -> None:
    case = CASES[name]
    accept = "application/json"
    if case.content_type == "ACCEPT":
        accept = "application/json;as=Foo;g=meta.k8s.io;v=v1"

    answer = api.request(
        case.method,
        case.path.format(ns=place),
        body=case.body,
        content_type=case.content_type,
        accept=accept,
    )

    assert answer.status == case.status, answer.body
    if case.reason is None and case.status == 404:
        assert answer.body.decode().strip() == case.said
        return
    status = answer.json()
    assert case.said in status["message"]
    assert status.get("reason") == case.reason
    assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", case.status)
