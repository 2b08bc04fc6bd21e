"""CustomResourceDefinitions against what a genuine API server said."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from demo.apiserver.definitions import complete, definition_causes, served_by, with_status
from streams.config.crd import manifests
from tests.kit.definitions import DEFINITIONS, Judged
from tests.kit.things import definition

NOW = "2026-11-26T08:00:00Z"


@pytest.mark.parametrize("case", DEFINITIONS, ids=lambda case: case.name)
def test_a_definition_is_judged_as_on_a_cluster(case: Judged) -> None:
    found = {(one.field, one.reason, one.message) for one in definition_causes(case.definition)}

    assert found == set(case.causes)


@pytest.mark.parametrize("crd", [*manifests(), definition()], ids=lambda it: it["metadata"]["name"])
def test_a_good_definition_is_good(crd: dict[str, Any]) -> None:
    assert definition_causes(crd) == []


def test_a_pattern_that_is_none_is_refused() -> None:
    crd = deepcopy(definition())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["str"]["pattern"] = "a("

    (cause,) = definition_causes(crd)

    assert cause.field.endswith("properties[spec].properties[str].pattern")
    assert "must be a valid regular expression, but isn't" in cause.message


def test_a_schema_that_versions_do_not_share_is_named_by_its_version() -> None:
    crd = deepcopy(manifests()[0])
    versions = crd["spec"]["versions"]
    versions[1]["schema"] = {"openAPIV3Schema": {"type": "string"}}

    assert [one.field for one in definition_causes(crd)] == [
        "spec.versions[1].schema.openAPIV3Schema.type",
    ]


def test_every_served_version_is_a_resource() -> None:
    (crd,) = [one for one in manifests() if one["spec"]["names"]["kind"] == "Ingester"]
    crd["spec"]["versions"][1]["served"] = True

    first, second = served_by(complete(crd))

    assert (first.api_version, second.api_version) == (
        "zen.kube-zen.io/v1alpha1",
        "zen.kube-zen.io/v1",
    )
    assert (first.storage, second.storage) == ("v1alpha1", "v1alpha1")
    assert first.resource == "ingesters"
    assert first.list_kind == "IngesterList"
    assert "ing" in first.short_names
    assert first.namespaced
    assert first.has_status
    assert [column["name"] for column in first.columns] == ["Source", "Ingester", "Ready", "Age"]

    crd["spec"]["versions"][1]["served"] = False
    assert [one.version for one in served_by(complete(crd))] == ["v1alpha1"]


def test_names_that_are_left_out_follow_from_the_kind() -> None:
    names = complete(definition())["spec"]["names"]

    assert names == {
        "kind": "Thing",
        "plural": "things",
        "singular": "thing",
        "listKind": "ThingList",
    }


def test_a_definition_is_established_once() -> None:
    first = with_status(complete(definition()), now=NOW)
    again = with_status(first, now="2027-01-01T00:00:00Z")

    conditions = {one["type"]: one for one in first["status"]["conditions"]}
    assert conditions["Established"]["status"] == "True"
    assert conditions["Established"]["reason"] == "InitialNamesAccepted"
    assert conditions["NamesAccepted"]["lastTransitionTime"] == NOW
    assert first["status"]["storedVersions"] == ["v1"]
    assert first["status"]["acceptedNames"] == first["spec"]["names"]
    assert again == first


def test_a_version_that_was_stored_must_stay() -> None:
    crd = with_status(complete(definition()), now=NOW)
    crd["spec"]["versions"][0]["name"] = "v9"

    (cause,) = definition_causes(crd)

    assert cause.field == "status.storedVersions[0]"
    assert "v1 was previously a storage version" in cause.message


@pytest.mark.parametrize("versions", [["x"], "x", {"a": 1}])
def test_versions_that_are_no_list_of_objects_are_refused(versions: object) -> None:
    crd = deepcopy(definition())
    crd["spec"]["versions"] = versions

    assert [one.field for one in definition_causes(crd)] == ["spec.versions"]
