from __future__ import annotations

from typing import Any, cast

import pytest
from pydantic import ValidationError

from streams.config.ingester import Ingester
from streams.config.schema import known_fields
from tests.kit.acceptance import CREATED, INGESTERS, Case, ingester
from tests.kit.whole_ingester import WHOLE


@pytest.mark.parametrize("case", INGESTERS, ids=lambda case: case.name)
def test_the_model_accepts_what_the_contract_accepts(case: Case) -> None:
    if case.ours == CREATED:
        Ingester.model_validate(case.manifest)
    else:
        with pytest.raises(ValidationError):
            Ingester.model_validate(case.manifest)


def test_a_document_with_every_field_survives_a_round_trip() -> None:
    document = Ingester.model_validate(WHOLE)

    value = document.model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert value == WHOLE


def test_the_whole_ingester_sets_every_field() -> None:
    assert unset(WHOLE["spec"], ("spec",)) == []


def unset(value: Any, place: tuple[str | int, ...]) -> list[str]:
    if isinstance(value, list):
        entries = enumerate(cast("list[Any]", value))
        return [each for index, one in entries for each in unset(one, (*place, index))]
    if not isinstance(value, dict):
        return []
    fields = cast("dict[str, Any]", value)
    missing = [f"{place}: {name}" for name in known_fields(Ingester, place) if name not in fields]
    return [*missing, *(each for name in fields for each in unset(fields[name], (*place, name)))]


def test_a_live_document_has_fields_of_its_server() -> None:
    live = ingester()
    live["metadata"] |= {
        "uid": "1",
        "resourceVersion": "5",
        "generation": 1,
        "creationTimestamp": "2026-11-24T10:00:00Z",
        "managedFields": [{"manager": "kubectl"}],
        "labels": {"a": "b"},
    }
    live["status"] = {"conditions": []}

    document = Ingester.model_validate(live)

    assert document.key == "default/case"


def test_equal_specs_are_equal() -> None:
    assert Ingester.model_validate(WHOLE).spec == Ingester.model_validate(WHOLE).spec
    assert (
        Ingester.model_validate(WHOLE).spec
        != Ingester.model_validate(WHOLE | {"spec": WHOLE["spec"] | {"source": "b"}}).spec
    )


@pytest.mark.parametrize("resource", ["observations", "ingesters"])
def test_a_loop_is_refused(resource: str) -> None:
    gvr = {"group": "zen.kube-zen.io", "version": "v1", "resource": resource}

    with pytest.raises(ValidationError, match="watches its own output"):
        Ingester.model_validate(ingester(informer={"gvr": gvr}))


@pytest.mark.parametrize(
    "field",
    [
        {"gvr": {"group": "UPPER", "version": "v1", "resource": "pods"}},
        {"gvr": {"group": "", "version": "1", "resource": "pods"}},
        {"gvr": {"group": "", "version": "v1", "resource": "pods/status"}},
        {"gvr": {"group": "", "version": "v1", "resource": "Pod"}},
        {"namespace": "a,b"},
        {"labelSelector": "a in b"},
        {"fieldSelector": "a"},
        {"resyncPeriod": "often"},
        {"resyncPeriod": 0},
    ],
)
def test_what_no_server_could_answer_is_refused(field: dict[str, object]) -> None:
    gvr = {"group": "", "version": "v1", "resource": "pods"}

    with pytest.raises(ValidationError):
        Ingester.model_validate(ingester(informer={"gvr": gvr} | field))
