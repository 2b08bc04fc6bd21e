"""Tables, bare metadata and OpenAPI, on the embedded server and on a genuine one."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from tests.cluster.api import Answer, Api
from tests.cluster.processes import wait_until
from tests.contract.api.things import establish, establish_things, path
from tests.kit.things import GROUP, definition, thing

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
METADATA = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
COLUMNS = (
    ("S", "string", ".spec.s"),
    ("I", "integer", ".spec.i"),
    ("N", "number", ".spec.n"),
    ("B", "boolean", ".spec.b"),
    ("D", "date", ".spec.d"),
    ("Cond", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("All", "string", ".spec.list[*].name"),
    ("Obj", "string", ".spec.list"),
    ("Esc", "string", ".metadata.annotations.a\\.b/c"),
    ("Last", "string", ".spec.list[-1:].name"),
)
ROWS: tuple[tuple[dict[str, Any], dict[str, Any], list[Any]], ...] = (
    (
        {"s": 5, "i": 3, "n": 1.5, "b": True, "list": [{"name": "x"}, {"name": "y"}]},
        {"conditions": [{"type": "Other", "status": "q"}, {"type": "Ready", "status": "True"}]},
        ["5", 3, 1.5, True, None, "True", "x", '[{"name":"x"},{"name":"y"}]', "anno", "y"],
    ),
    (
        {"s": {"a": 1}, "i": "3", "n": 2, "b": "x", "d": "nope", "list": []},
        {},
        ['{"a":1}', None, 2, None, "<invalid>", None, None, "[]", "anno", None],
    ),
    (
        {"s": True, "i": 3.7, "d": "2099-01-01T00:00:00Z", "list": ["q", 1]},
        {},
        ["true", 3, None, None, "<invalid>", None, None, '["q",1]', "anno", None],
    ),
)


@pytest.fixture
def things(api: Api, namespace: str) -> str:
    establish_things(api)
    return path(namespace)


@pytest.fixture
def columned(api: Api, namespace: str) -> str:
    """A kind with columns of every type."""
    crd = definition()
    crd["metadata"]["name"] = f"columneds.{GROUP}"
    crd["spec"]["names"] = {"kind": "Columned", "plural": "columneds"}
    (version,) = crd["spec"]["versions"]
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version["schema"] = {"openAPIV3Schema": free}
    del version["subresources"]
    version["additionalPrinterColumns"] = [
        {"name": name, "type": kind, "jsonPath": where} for name, kind, where in COLUMNS
    ]
    establish(api, crd)
    return f"/apis/{GROUP}/v1/namespaces/{namespace}/columneds"


def test_a_column_shows_what_its_path_finds(api: Api, columned: str) -> None:
    for number, (spec, status, _) in enumerate(ROWS):
        metadata = {"name": f"n{number}", "annotations": {"a.b/c": "anno"}}
        body = {"apiVersion": f"{GROUP}/v1", "kind": "Columned", "metadata": metadata}
        api.need("POST", columned, body=body | {"spec": spec, "status": status})

    table = api.need("GET", f"{columned}?includeObject=None", accept=TABLE)

    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert table["metadata"]["resourceVersion"]
    assert [(one["name"], one["type"]) for one in table["columnDefinitions"]] == [
        ("Name", "string"),
        *((name, kind) for name, kind, _ in COLUMNS),
    ]
    assert [row["cells"] for row in table["rows"]] == [
        [f"n{number}", *cells] for number, (_, _, cells) in enumerate(ROWS)
    ]
    assert {row["object"] for row in table["rows"]} == {None}


def test_a_kind_without_columns_has_name_and_age(api: Api, things: str) -> None:
    api.need("POST", things, body=thing({"need": "x"}))

    table = api.need("GET", f"{things}/one", accept=TABLE)

    assert [(it["name"], it["type"], it["format"]) for it in table["columnDefinitions"]] == [
        ("Name", "string", "name"),
        ("Age", "date", ""),
    ]
    (row,) = table["rows"]
    assert row["cells"][0] == "one"
    assert row["cells"][1].endswith("s")
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == "one"


@pytest.mark.parametrize(
    ("resource", "names"),
    [
        ("namespaces", ["Name", "Status", "Age"]),
        ("configmaps", ["Name", "Data", "Age"]),
        ("secrets", ["Name", "Type", "Data", "Age"]),
        ("pods", ["Name", "Ready", "Status", "Restarts", "Age"]),
        ("nodes", ["Name", "Status", "Roles", "Age", "Version"]),
        ("events", ["Last Seen", "Type", "Reason", "Object", "Message"]),
    ],
)
def test_built_in_kinds_have_their_own_columns(api: Api, resource: str, names: list[str]) -> None:
    table = api.need("GET", f"/api/v1/{resource}?limit=1", accept=TABLE)

    narrow = [one["name"] for one in table["columnDefinitions"] if not one["priority"]]
    assert narrow == names


def test_cells_of_built_in_kinds(api: Api, namespace: str) -> None:
    core = f"/api/v1/namespaces/{namespace}"
    api.need("POST", f"{core}/configmaps", body={"metadata": {"name": "c"}, "data": {"a": "1"}})
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p1", "namespace": namespace},
        "type": "Warning",
        "reason": "Because",
        "message": "so it is",
        "count": 3,
        "source": {"component": "k", "host": "h"},
        "firstTimestamp": "2020-01-01T00:00:00Z",
        "lastTimestamp": None,
    }
    api.need("POST", f"{core}/events", body=event)

    def cells(where: str) -> list[Any]:
        return api.need("GET", f"{where}?includeObject=None", accept=TABLE)["rows"][0]["cells"]

    assert cells(f"{core}/configmaps/c")[:2] == ["c", 1]
    assert cells(f"/api/v1/namespaces/{namespace}")[:2] == [namespace, "Active"]
    told = cells(f"{core}/events/e")
    assert told[1:7] == ["Warning", "Because", "pod/p1", "", "k, h", "so it is"]
    assert told[8:] == [3, "e"]


def test_metadata_is_had_alone(api: Api, things: str) -> None:
    api.need("POST", things, body=thing({"need": "x"}))

    one = api.need("GET", f"{things}/one", accept=METADATA)
    many = api.need("GET", things, accept=METADATA_LIST)

    whole = api.need("GET", f"{things}/one")
    expected = {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": whole["metadata"],
    }
    assert one == expected
    assert (many["kind"], many["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert many["metadata"]["resourceVersion"]
    assert many["items"] == [expected]


def openapi(api: Api, group: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The index, and what it leads to for a group; the genuine server publishes a little later than it serves."""
    found: list[tuple[dict[str, Any], Answer]] = []

    def look() -> bool:
        index = api.need("GET", "/openapi/v3")["paths"]
        if group in index:
            found.append((index, api.request("GET", index[group]["serverRelativeURL"])))
        return bool(found) and found[-1][1].status == http.client.OK

    wait_until(look, seconds=20, what=f"the OpenAPI of {group} to be published")
    index, answer = found[-1]
    return index, answer.json()


def test_openapi_has_the_patches_and_the_schema_of_a_custom_resource(api: Api, things: str) -> None:
    index, whole = openapi(api, f"apis/{GROUP}/v1")

    assert "api/v1" in index
    wanted = {"group": GROUP, "version": "v1", "kind": "Thing"}
    patch = whole["paths"][f"/apis/{GROUP}/v1/namespaces/{{namespace}}/things/{{name}}"]["patch"]
    assert patch["x-kubernetes-group-version-kind"] == wanted
    assert "fieldValidation" in {one["name"] for one in patch["parameters"]}
    assert set(patch["requestBody"]["content"]) >= {
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    }
    (schema,) = [
        one
        for one in whole["components"]["schemas"].values()
        if wanted in one.get("x-kubernetes-group-version-kind", ())
    ]
    assert schema["properties"]["spec"]["properties"]["enum"]["enum"] == ["a", "b"]
    assert things
