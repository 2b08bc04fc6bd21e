"""Tables against what a genuine API server put into their cells."""

from __future__ import annotations

from typing import Any

import pytest

from demo.apiserver.definitions import complete, served_by
from demo.apiserver.documents import ServedResource
from demo.apiserver.tables import age, duration, partial_metadata, partial_metadata_list, table
from streams.config.crd import manifests
from tests.kit.things import definition

NOW = "2026-11-26T08:09:00Z"
Fields = dict[str, Any]

COLUMNS = (
    ("S", "string", ".spec.s"),
    ("I", "integer", ".spec.i"),
    ("N", "number", ".spec.n"),
    ("B", "boolean", ".spec.b"),
    ("D", "date", ".spec.d"),
    ("Cond", "string", '.status.conditions[?(@.type=="Ready")].status'),
    ("All", "string", ".spec.list[*].name"),
    ("Idx", "string", ".spec.list[0].name"),
    ("Obj", "string", ".spec.list"),
    ("Esc", "string", ".metadata.annotations.a\\.b/c"),
    ("Br", "string", ".metadata.annotations['a\\.b/c']"),
    ("Len", "string", ".spec.list[-1:].name"),
)


def built_in(resource: str, *, group: str = "") -> ServedResource:
    return ServedResource(
        group=group,
        version="v1",
        resource=resource,
        kind=resource.capitalize(),
        list_kind="List",
        singular=resource,
        short_names=(),
        namespaced=True,
        has_status=True,
    )


def cells(served: ServedResource, obj: Fields) -> list[Any]:
    (row,) = table(served, [obj], include_object="None", now=NOW)["rows"]
    return row["cells"]


def named(name: str, **rest: Any) -> Fields:
    metadata = {"name": name, "creationTimestamp": "2026-11-26T07:35:00Z"}
    return {"apiVersion": "v1", "kind": "X", "metadata": metadata} | rest


@pytest.mark.parametrize(
    ("obj", "wanted"),
    [
        (
            {
                "spec": {
                    "s": 5,
                    "i": 3,
                    "n": 1.5,
                    "b": True,
                    "d": "2026-11-26T07:00:00Z",
                    "list": [{"name": "x"}, {"name": "y"}],
                },
                "status": {
                    "conditions": [
                        {"status": "of no type"},
                        {"type": "Other", "status": "q"},
                        {"type": "Ready", "status": "True"},
                    ]
                },
                "metadata": {"name": "a", "annotations": {"a.b/c": "anno"}},
            },
            [
                *("a", "5", 3, 1.5, True, "69m", "True", "x", "x"),
                *('[{"name":"x"},{"name":"y"}]', "anno", "anno", "y"),
            ],
        ),
        (
            {
                "spec": {"s": {"a": 1}, "i": "3", "n": 2, "b": "x", "d": "nope", "list": []},
                "metadata": {"name": "b"},
            },
            ["b", '{"a":1}', None, 2, None, "<invalid>", None, None, None, "[]", None, None, None],
        ),
        (
            {
                "spec": {
                    "s": True,
                    "i": True,
                    "n": 2.0,
                    "d": "2027-11-26T07:00:00Z",
                    "list": ["q", 1],
                },
                "metadata": {"name": "c"},
            },
            [
                "c",
                "true",
                None,
                2.0,
                None,
                "<invalid>",
                None,
                None,
                None,
                '["q",1]',
                None,
                None,
                None,
            ],
        ),
    ],
)
def test_a_printer_column_shows_what_its_path_finds(obj: Fields, wanted: list[Any]) -> None:
    crd = definition()
    crd["spec"]["versions"][0]["additionalPrinterColumns"] = [
        {"name": name, "type": kind, "jsonPath": path} for name, kind, path in COLUMNS
    ]
    (served,) = served_by(complete(crd))

    assert cells(served, obj) == wanted


def test_columns_describe_themselves() -> None:
    (crd,) = [one for one in manifests() if one["spec"]["names"]["kind"] == "Ingester"]
    whole = table(served_by(complete(crd))[0], [], include_object="Metadata", now=NOW)

    assert [(one["name"], one["type"], one["format"]) for one in whole["columnDefinitions"]] == [
        ("Name", "string", "name"),
        ("Source", "string", ""),
        ("Ingester", "string", ""),
        ("Ready", "string", ""),
        ("Age", "date", ""),
    ]
    assert whole["columnDefinitions"][1]["description"] == (
        "Custom resource definition column (in JSONPath format): .spec.source"
    )


def test_a_custom_resource_without_columns_shows_name_and_age() -> None:
    (served,) = served_by(complete(definition()))

    assert cells(served, named("j1")) == ["j1", "34m"]


BUILT_IN: list[tuple[str, str, Fields, list[Any]]] = [
    ("namespaces", "", {"status": {"phase": "Active"}}, ["it", "Active", "34m"]),
    ("configmaps", "", {"data": {"a": "1"}, "binaryData": {"b": ""}}, ["it", 2, "34m"]),
    (
        "pods",
        "",
        {
            "spec": {"containers": [{}, {}]},
            "status": {
                "phase": "Running",
                "containerStatuses": [
                    {"ready": True, "restartCount": 2, "state": {"running": {}}},
                    {
                        "ready": False,
                        "restartCount": 1,
                        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                    },
                ],
            },
        },
        ["it", "1/2", "CrashLoopBackOff", "3", "34m", "<none>", "<none>"],
    ),
    (
        "nodes",
        "",
        {
            "spec": {"unschedulable": True},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        },
        ["it", "Ready,SchedulingDisabled", "<none>", "34m", ""],
    ),
    ("nodes", "", {}, ["it", "Unknown", "<none>", "34m", ""]),
    (
        "events",
        "",
        {
            "involvedObject": {"kind": "Pod", "name": "p1"},
            "type": "Warning",
            "reason": "R",
            "message": "m",
            "count": 3,
            "lastTimestamp": "2026-11-26T07:00:00Z",
            "firstTimestamp": "2026-11-26T06:00:00Z",
            "source": {"component": "k", "host": "h"},
        },
        ["69m", "Warning", "R", "pod/p1", "", "k, h", "m", "129m", 3, "it"],
    ),
    ("leases", "coordination.k8s.io", {"spec": {"holderIdentity": "h"}}, ["it", "h", "34m"]),
    ("roles", "rbac.authorization.k8s.io", {}, ["it", "2026-11-26T07:35:00Z"]),
    ("serviceaccounts", "", {}, ["it", "34m"]),
]


@pytest.mark.parametrize(("resource", "group", "obj", "wanted"), BUILT_IN)
def test_built_in_kinds_have_their_own_columns(
    resource: str, group: str, obj: Fields, wanted: list[Any]
) -> None:
    assert cells(built_in(resource, group=group), named("it", **obj)) == wanted


def test_a_row_holds_as_much_of_its_object_as_is_wanted() -> None:
    served, obj = built_in("configmaps"), named("c", data={})

    def held(include: str) -> Any:
        return table(served, [obj], include_object=include, now=NOW)["rows"][0]["object"]

    assert held("None") is None
    assert held("Object") == obj
    assert held("Metadata") == partial_metadata(obj)
    assert held("Metadata")["kind"] == "PartialObjectMetadata"
    assert set(held("Metadata")) == {"kind", "apiVersion", "metadata"}


def test_a_list_of_metadata_names_each_kind() -> None:
    whole = partial_metadata_list([named("a"), named("b")])

    assert whole["kind"] == "PartialObjectMetadataList"
    assert [one["metadata"]["name"] for one in whole["items"]] == ["a", "b"]
    assert {one["apiVersion"] for one in whole["items"]} == {"meta.k8s.io/v1"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (599, "9m59s"),
        (600, "10m"),
        (10_799, "179m"),
        (10_800, "3h"),
        (12_000, "3h20m"),
        (28_800, "8h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (176_400, "2d1h"),
        (691_200, "8d"),
        (63_071_999, "729d"),
        (63_072_000, "2y"),
        (63_158_400, "2y1d"),
        (252_288_000, "8y"),
    ],
)
def test_a_duration_has_one_or_two_units(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_without_a_time_is_marked() -> None:
    assert age(None, now=NOW) == "<unknown>"
    assert age("yesterday", now=NOW) == "<invalid>"
    assert age("2026-11-26T08:09:01Z", now=NOW) == "0s"
    assert age("2026-11-26T08:09:05Z", now=NOW) == "<invalid>"
