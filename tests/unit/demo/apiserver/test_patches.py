"""Patches against what a genuine API server made of them."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.apiserver.documents import as_object
from demo.apiserver.patches import PatchError, json_patched, merge_patched, strategically_patched

SPEC: dict[str, Any] = {"need": "x", "arr": ["a"], "int": 2, "one": 1}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from("ab"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abc"), json_values)


def without_nulls(value: Any) -> Any:
    held = as_object(value)
    if held is None:
        return value
    return {name: without_nulls(one) for name, one in held.items() if one is not None}


@pytest.mark.parametrize(
    ("operation", "after"),
    [
        ({"op": "replace", "path": "/spec/need", "value": "y"}, {"need": "y"}),
        ({"op": "replace", "path": "/spec/new", "value": 1}, {"new": 1}),
        ({"op": "add", "path": "/spec/arr/0", "value": "b"}, {"arr": ["b", "a"]}),
        ({"op": "add", "path": "/spec/arr/-", "value": "b"}, {"arr": ["a", "b"]}),
        ({"op": "add", "path": "/spec/a~1b~0c", "value": 1}, {"a/b~c": 1}),
        ({"op": "copy", "from": "/spec/arr", "path": "/spec/set"}, {"set": ["a"]}),
        ({"op": "copy", "from": "/spec/nope", "path": "/spec/set"}, {"set": None}),
        ({"op": "test", "path": "/spec/need", "value": "x"}, {}),
        ({"op": "test", "path": "/spec/zzz", "value": None}, {}),
    ],
)
def test_an_operation_changes_the_object(operation: Any, after: dict[str, Any]) -> None:
    given_ = {"spec": deepcopy(SPEC)}

    assert json_patched(given_, [operation]) == {"spec": SPEC | after}
    assert given_ == {"spec": SPEC}


def test_moved_and_removed_is_gone_from_where_it_was() -> None:
    moved = json_patched({"spec": SPEC}, [{"op": "move", "from": "/spec/arr", "path": "/spec/set"}])
    removed = json_patched({"spec": SPEC}, [{"op": "remove", "path": "/spec/arr/0"}])

    assert moved["spec"] == {"need": "x", "int": 2, "one": 1, "set": ["a"]}
    assert removed["spec"]["arr"] == []


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/need", "value": "y"},
        {"op": "test", "path": "/spec/zzz", "value": 1},
        {"op": "test", "path": "/spec/int", "value": "2"},
        {"op": "test", "path": "/spec/one", "value": True},
        {"op": "remove", "path": "/spec/zzz"},
        {"op": "remove", "path": "/spec/arr/5"},
        {"op": "remove", "path": "/spec/arr/-1"},
        {"op": "add", "path": "/spec/arr/9", "value": "b"},
        {"op": "add", "path": "/spec/q/r", "value": "b"},
        {"op": "add", "path": "/spec/need/r", "value": "b"},
        {"op": "add", "path": "spec", "value": "b"},
        {"op": "replace", "path": "/spec/arr/x", "value": 1},
        {"op": "move", "from": "/spec/zzz", "path": "/spec/set"},
        {"op": "frob", "path": "/spec"},
        {"op": "add"},
        {},
        3,
    ],
)
def test_what_cannot_be_done_is_refused_as_a_whole(operation: Any) -> None:
    given_ = {"spec": deepcopy(SPEC)}

    with pytest.raises(PatchError, match="the server rejected our request"):
        json_patched(given_, [{"op": "remove", "path": "/spec/int"}, operation])
    assert given_ == {"spec": SPEC}


def test_a_merge_patch_merges_objects_and_removes_by_null() -> None:
    patch = {"spec": {"need": None, "arr": ["b"], "new": {"deep": 1, "gone": None}}}

    after = merge_patched({"spec": SPEC, "kind": "Thing"}, patch)

    assert after == {
        "spec": {"arr": ["b"], "int": 2, "one": 1, "new": {"deep": 1}},
        "kind": "Thing",
    }


@given(documents, documents)
def test_a_merge_patch_is_done_when_it_is_done(obj: Any, patch: Any) -> None:
    before = deepcopy(obj)

    once = merge_patched(obj, patch)

    assert merge_patched(once, patch) == once
    assert merge_patched({}, patch) == without_nulls(patch)
    assert merge_patched(obj, {}) == obj == before


@pytest.mark.parametrize(
    ("patch", "after"),
    [
        ({"data": {"b": "2", "a": None}}, {"data": {"b": "2"}}),
        ({"data": {"$patch": "replace", "z": "1"}}, {"data": {"z": "1"}}),
        ({"data": {"$patch": "delete"}}, {}),
        ({"data": {"$retainKeys": ["b"], "b": "1"}}, {"data": {"b": "1"}}),
    ],
)
def test_a_strategic_patch_merges_maps(patch: Any, after: Any) -> None:
    assert strategically_patched({"data": {"a": "1"}}, patch) == after


def test_a_strategic_patch_merges_finalizers_as_a_set() -> None:
    there = {"metadata": {"finalizers": ["x.y/a"]}}

    added = strategically_patched(there, {"metadata": {"finalizers": ["x.y/b"]}})
    less = strategically_patched(
        there, {"metadata": {"$deleteFromPrimitiveList/finalizers": ["x.y/a"]}}
    )

    assert added == {"metadata": {"finalizers": ["x.y/b", "x.y/a"]}}
    assert less == {"metadata": {"finalizers": []}}


def test_a_strategic_patch_merges_lists_by_their_key() -> None:
    there = {
        "containers": [{"name": "a", "image": "1"}, {"name": "b", "image": "2"}],
        "args": ["x"],
    }
    patch = {
        "containers": [
            {"name": "b", "$patch": "delete"},
            {"name": "a", "env": [{"name": "E", "value": "v"}]},
            {"name": "c"},
        ],
        "args": ["y"],
    }

    assert strategically_patched(there, patch) == {
        "containers": [
            {"name": "a", "image": "1", "env": [{"name": "E", "value": "v"}]},
            {"name": "c"},
        ],
        "args": ["y"],
    }


def test_another_directive_is_refused_by_its_name() -> None:
    with pytest.raises(PatchError, match=r"unknown patch type: frob in map: map\[\$patch:frob\]"):
        strategically_patched({}, {"$patch": "frob"})


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ({"env": [{"name": "c"}]}, "cab"),
        ({"env": [{"name": "b"}, {"name": "c"}]}, "abc"),
        ({"env": [{"name": "c"}, {"name": "a"}]}, "cab"),
        ({"env": [{"name": "b"}, {"name": "a"}]}, "ba"),
        ({"env": [{"name": "a", "$patch": "delete"}, {"name": "c"}]}, "cb"),
        (
            {"$setElementOrder/env": [{"name": "b"}, {"name": "c"}], "env": [{"name": "c"}]},
            "abc",
        ),
        (
            {
                "$setElementOrder/env": [{"name": "c"}, {"name": "b"}, {"name": "a"}],
                "env": [{"name": "c"}],
            },
            "cba",
        ),
        ({"env": [{"$patch": "replace"}, {"name": "z"}]}, "z"),
    ],
)
def test_elements_are_ordered_as_on_a_cluster(patch: Any, names: str) -> None:
    after = strategically_patched({"env": [{"name": "a"}, {"name": "b"}]}, patch)

    assert "".join(one["name"] for one in after["env"]) == names
