"""Whatever stands in a file, it becomes findings; it never raises."""

from __future__ import annotations

import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streams.config.ingester import Ingester
from streams.config.load import Loaded, load
from streams.config.plan import plan
from tests.kit.acceptance import ingester
from tests.kit.whole_ingester import WHOLE

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


def judge(raw: bytes, *, suffix: str = ".yaml") -> Loaded:
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
    return found


@given(st.binary(max_size=400), st.sampled_from([".yaml", ".json"]))
def test_bytes(raw: bytes, suffix: str) -> None:
    judge(raw, suffix=suffix)


@given(st.text(alphabet="ab:-[]{},&*!|>'\"#%@`? \n\t<.0~=\\", max_size=200))
def test_the_letters_of_yaml(text: str) -> None:
    judge(text.encode())


@given(st.lists(JSON, max_size=3))
def test_any_documents(values: list[object]) -> None:
    judge(yaml.safe_dump_all(values, allow_unicode=True).encode())


@given(st.data())
@pytest.mark.timeout(60)
def test_an_ingester_with_anything_in_the_place_of_something(data: st.DataObject) -> None:
    document = copy.deepcopy(data.draw(st.sampled_from([WHOLE, ingester()])))
    for _ in range(data.draw(st.integers(1, 3))):
        _change(document, data)

    judge(yaml.safe_dump(document, allow_unicode=True).encode())


def _change(document: dict[str, Any], data: st.DataObject) -> None:
    """Walk down to some place and put something there, or give it another name."""
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(_keys(place)))
        inner: Any = place[key]
        if not (_keys(inner) and data.draw(st.integers(0, 4))):
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


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=3))
def test_a_damaged_file(position: int, damage: bytes) -> None:
    raw = msgspec.json.format(msgspec.json.encode(WHOLE), indent=1)
    at = position % len(raw)

    judge(raw[:at] + damage + raw[at + 1 :], suffix=".json")
    judge(raw[:at] + damage + raw[at + 1 :])
