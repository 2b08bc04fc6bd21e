"""Strategic merge patches against what a genuine API server made of them."""

from __future__ import annotations

from typing import Any

import pytest

from demo.apiserver.patches import PatchError
from demo.apiserver.strategic import strategically_patched


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
