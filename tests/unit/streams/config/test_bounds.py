from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from streams.config.findings import path_of
from streams.config.ingester import Ingester
from streams.config.load import load
from streams.config.spellings import shadowed
from tests.kit.acceptance import ingester


def tried(first_wait: str) -> dict[str, Any]:
    return {"errorHandling": {"strategy": "retry", "retry": {"backoffBase": first_wait}}}


FIRST_WAIT = "spec.errorHandling.retry.backoffBase"


def reported(spec: dict[str, Any]) -> list[tuple[str, str]]:
    document = Ingester.model_validate(ingester(observe="occurrence", **spec))
    return [(path_of(place), reason) for place, reason in shadowed(document.spec)]


@pytest.mark.parametrize(
    ("path", "spec", "used"),
    [
        ("spec.ttl.default", {"ttl": {"default": "59s"}}, "60 s is used: "),
        ("spec.ttl.default", {"ttl": {"default": "366d"}}, "31536000 s is used: "),
        (FIRST_WAIT, tried("0"), "0.5 s is used: "),
        (FIRST_WAIT, tried("499ms"), "0.5 s is used: "),
        (FIRST_WAIT, tried("1h"), "30 s is used: "),
    ],
)
def test_a_value_out_of_bounds_is_reported_with_the_one_used(
    path: str, spec: dict[str, Any], used: str
) -> None:
    ((place, reason),) = reported(spec)

    assert place == path
    assert reason.startswith(used)


@pytest.mark.parametrize(
    "spec",
    [
        {"ttl": {"default": "60s"}},
        {"ttl": {"default": "365d"}},
        tried("500ms"),
        tried("30s"),
    ],
)
def test_what_is_within_its_bounds_is_not(spec: dict[str, Any]) -> None:
    assert reported(spec) == []


@pytest.mark.parametrize(
    ("path", "spec"),
    [
        ("spec.ttl.default", {"ttl": {"default": "999999999999999d"}}),
        ("spec.deduplication.window", {"deduplication": {"window": "99999999999999h"}}),
    ],
)
def test_a_duration_that_no_clock_can_count_is_refused_by_its_place(
    tmp_path: Path, path: str, spec: dict[str, Any]
) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(ingester(**spec))))

    loaded = load([file], default_namespace="default")

    assert loaded.ingesters == ()
    (finding,) = loaded.findings
    assert finding.path == path
    assert finding.line > 1
    assert "a duration of at most 292 years" in finding.message
