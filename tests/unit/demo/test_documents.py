"""The documents and definitions that ship with the demonstration."""

from __future__ import annotations

from typing import Any, cast

from demo.install import FOLDER, definitions
from streams.config.load import load
from streams.config.plan import plan
from tests.kit.signals import every_signal

DOCUMENTS = FOLDER.with_name("documents")


def test_the_documents_say_nothing_that_has_no_effect() -> None:
    loaded = load([DOCUMENTS], default_namespace="default")

    assert loaded.findings == ()
    assert all(ingester.runnable for ingester in loaded.ingesters)


def test_every_signal_has_its_source_and_every_source_its_resource() -> None:
    loaded = load([DOCUMENTS], default_namespace="default")
    plans = {one.source_name: one for one in map(plan, loaded.ingesters)}
    served = {
        (one["spec"]["group"], version["name"], one["spec"]["names"]["plural"])
        for one in definitions()
        for version in one["spec"]["versions"]
    } | {("", "v1", "events")}

    assert plans.keys() == {signal.source for signal in every_signal(1)}
    watched = [one.source.watched for one in plans.values()]
    assert {(gvr.group, gvr.version, gvr.resource) for gvr in watched} <= served


def test_the_signals_write_what_is_defined() -> None:
    """A field that no definition knows would be pruned, and never seen."""
    schemas = {
        one["spec"]["names"]["kind"]: one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for one in definitions()
    }
    for signal in every_signal(2)[:2]:
        for _ in range(200):
            signal.next()
        for body in signal.objects.values():
            assert unknown(body, schemas[body["kind"]], body["kind"]) == []


def unknown(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    """The fields of a value that a schema does not know, where it names any."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [each for item in items for each in unknown(item, schema["items"], f"{path}[]")]
    if not isinstance(value, dict) or "properties" not in schema:
        return []
    known: dict[str, Any] = schema["properties"]
    fields = cast("dict[str, Any]", value)
    return [f"{path}.{key}" for key in fields.keys() - known.keys()] + [
        each
        for key in fields.keys() & known.keys()
        for each in unknown(fields[key], known[key], f"{path}.{key}")
    ]
