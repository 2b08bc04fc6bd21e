"""Whatever stands in a file, it becomes findings; it never raises."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streams.config.ingester import Ingester
from streams.config.load import load
from streams.config.plan import plan
from tests.kit.acceptance import ingester
from tests.kit.whole_ingester import INFORMER, WHOLE

FLOOR = 3
ROUNDS = 4
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["0", "1h", "adaptive", "64Mi", "crd", "informer", "a in (b)"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


RUNNABLE = ingester(
    informer=INFORMER,
    buffer={"capacity": 10, "capacityBytes": "1Mi", "inFlight": "adaptive"},
    deduplication={"enabled": True, "strategy": "key", "fields": ["a.b"]},
    ttl={"default": "1h"},
    onDelete="delete",
)
reached: Counter[str] = Counter()
"""To how many files a finding of a kind was made, and how many held an Ingester that can run."""


def explored(explore: Callable[[], None], *kinds: str) -> None:
    """Let hypothesis explore, and see that it reached what it is to reach, and not by a single file.

    Where chance missed something, it explores again.
    """
    reached.clear()
    for _ in range(ROUNDS):
        explore()
        if all(reached[kind] >= FLOOR for kind in kinds):
            break
    print(dict(reached))
    assert {kind: reached[kind] for kind in kinds if reached[kind] < FLOOR} == {}


def judge(raw: bytes, *, suffix: str = ".yaml") -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, f"a{suffix}")
        path.write_bytes(raw)
        found = load([path], default_namespace="here")
    lines = raw.count(b"\n") + raw.count(b"\r") + 1
    for finding in found.findings:
        assert finding.message
        assert 1 <= finding.line <= lines + 1
        assert str(finding).startswith(f"{path}:{finding.line}: ")
    for each in found.ingesters:
        assert isinstance(each, Ingester)
        if each.runnable:
            plan(each)
    assert found.ingesters or found.findings
    reached.update({finding.kind.value for finding in found.findings})
    reached["runnable"] += any(each.runnable for each in found.ingesters)


def test_bytes() -> None:
    @given(
        st.binary(max_size=400) | st.text(max_size=200).map(str.encode),
        st.sampled_from([".yaml", ".json"]),
    )
    def explore(raw: bytes, suffix: str) -> None:
        judge(raw, suffix=suffix)

    explored(explore, "unreadable", "syntax")


def test_the_letters_of_yaml() -> None:
    @given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@`? \n\t<.0~=\\", max_size=200))
    def explore(text: str) -> None:
        judge(text.encode())

    explored(explore, "syntax", "invalid")


def test_any_documents() -> None:
    @given(st.lists(JSON, max_size=3))
    def explore(values: list[object]) -> None:
        judge(yaml.safe_dump_all(values, allow_unicode=True).encode())

    explored(explore, "missing", "invalid")


@pytest.mark.timeout(60)
def test_an_ingester_with_anything_in_the_place_of_something() -> None:
    @given(st.data())
    def explore(data: st.DataObject) -> None:
        document = copy.deepcopy(
            data.draw(st.sampled_from([RUNNABLE, RUNNABLE, WHOLE, ingester()]))
        )
        for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
            place = data.draw(st.sampled_from(["spec", "spec", "spec", ""]))
            _change(document.get(place, document), data)
        judge(yaml.safe_dump(document, allow_unicode=True).encode())

    explored(explore, "invalid", "missing", "unknown-field")


@pytest.mark.timeout(60)
def test_a_damaged_file() -> None:
    @given(
        st.sampled_from([RUNNABLE, RUNNABLE, WHOLE]),
        st.integers(0, 10_000),
        st.binary(min_size=1, max_size=3) | st.text(min_size=1, max_size=3).map(str.encode),
    )
    def explore(document: dict[str, Any], position: int, damage: bytes) -> None:
        raw = msgspec.json.format(msgspec.json.encode(document), indent=1)
        at = position % len(raw)

        judge(raw[:at] + damage + raw[at + 1 :], suffix=".json")
        judge(raw[:at] + damage + raw[at + 1 :])

    explored(explore, "runnable", "syntax", "unreadable", "unknown-field")


def _change(place: Any, data: st.DataObject) -> None:
    """Walk down to some place and put something there, or give it another name."""
    if not _keys(place):
        return
    while True:
        key = data.draw(st.sampled_from(_keys(place)))
        inner: Any = place[key]
        if not (_keys(inner) and data.draw(st.sampled_from([True, True, True, False]))):
            break
        place = inner
    if isinstance(place, dict) and data.draw(st.booleans()):
        del place[key]
        place[data.draw(st.text(max_size=6) | st.just(f"{key}s"))] = inner
    else:
        place[key] = data.draw(JSON)


def _keys(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(cast("dict[str, Any]", value))
    return list(range(len(cast("list[Any]", value)))) if isinstance(value, list) else []
