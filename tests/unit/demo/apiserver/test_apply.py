"""Server-side apply: what is merged, who owns it, who conflicts, and what is dropped."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demo.apiserver.apply import ConflictError, UndeclaredError, server_side_apply, track_update
from tests.kit.things import SCHEMA, Fields, thing

VERSION = "example.com/v1"


def apply(
    live: Fields | None,
    spec: Fields,
    *,
    manager: str = "a",
    force: bool = False,
    now: str = "2026-11-26T08:00:00Z",
    **of_the_object: Any,
) -> Fields:
    wanted = thing(spec) | of_the_object
    return server_side_apply(
        live,
        wanted,
        manager=manager,
        force=force,
        schema=SCHEMA,
        now=now,
        api_version=VERSION,
    )


def update(live: Fields | None, after: Fields, *, manager: str = "u", **how: Any) -> Fields:
    how = {"now": "2026-11-26T09:00:00Z", "api_version": VERSION, "schema": SCHEMA} | how
    return track_update(live, after, manager=manager, **how)


def owners(obj: Fields) -> dict[str, Fields]:
    entries = obj["metadata"].get("managedFields", [])
    return {f"{one['manager']} {one['operation']}": one["fieldsV1"] for one in entries}


def test_an_applier_owns_its_configuration_leaf_by_leaf() -> None:
    spec: Fields = {
        "need": "x",
        "arr": ["a"],
        "set": ["p"],
        "map": [{"name": "m", "v": 1}],
        "free": {"a": {"b": [1], "c": {}}},
        "deep": {"a": {}},
    }
    metadata = {"name": "one", "labels": {"l": "1"}, "finalizers": ["x.y/z"]}

    made = apply(None, spec, metadata=metadata)

    assert owners(made) == {
        "a Apply": {
            "f:metadata": {"f:finalizers": {'v:"x.y/z"': {}}, "f:labels": {"f:l": {}}},
            "f:spec": {
                "f:arr": {},
                "f:deep": {"f:a": {}},
                "f:free": {"f:a": {".": {}, "f:b": {}, "f:c": {}}},
                "f:map": {'k:{"name":"m"}': {".": {}, "f:name": {}, "f:v": {}}},
                "f:need": {},
                "f:set": {'v:"p"': {}},
            },
        }
    }


def test_an_update_owns_what_it_changed_with_everything_above() -> None:
    made = update(None, thing({"need": "x", "set": ["p"], "obj": {"k": 1}}))

    assert owners(made) == {
        "u Update": {
            "f:spec": {
                ".": {},
                "f:need": {},
                "f:obj": {".": {}, "f:k": {}},
                "f:set": {".": {}, 'v:"p"': {}},
            }
        }
    }
    later = deepcopy(made)
    later["spec"]["obj"]["k"] = 2
    assert owners(update(made, later, manager="v")) == {
        "u Update": {
            "f:spec": {
                ".": {},
                "f:need": {},
                "f:obj": {},
                "f:set": {".": {}, 'v:"p"': {}},
            }
        },
        "v Update": {"f:spec": {"f:obj": {"f:k": {}}}},
    }


def test_another_value_is_a_conflict_that_names_the_field_and_its_owner() -> None:
    live = apply(None, {"need": "x", "map": [{"name": "m", "v": 1}]})

    with pytest.raises(ConflictError) as refused:
        apply(live, {"need": "y", "map": [{"name": "m", "v": 2}]}, manager="b")

    assert str(refused.value) == (
        'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.need\n- .spec.map[name="m"].v'
    )
    assert [one.to_dict() for one in refused.value.causes] == [
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "a"',
            "field": field,
        }
        for field in (".spec.need", '.spec.map[name="m"].v')
    ]


def test_a_conflict_with_an_update_names_its_version() -> None:
    live = update(None, thing({"need": "x"}))

    with pytest.raises(ConflictError) as refused:
        apply(live, {"need": "y"})

    assert str(refused.value) == (
        'Apply failed with 1 conflict: conflict with "u" using example.com/v1: .spec.need'
    )


def test_force_takes_the_field_from_its_owner() -> None:
    live = apply(None, {"need": "x", "int": 1})

    forced = apply(live, {"need": "y"}, manager="b", force=True)

    assert forced["spec"] == {"need": "y", "int": 1}
    assert owners(forced) == {
        "a Apply": {"f:spec": {"f:int": {}}},
        "b Apply": {"f:spec": {"f:need": {}}},
    }


def test_an_equal_value_is_shared_and_dated_only_by_who_changed_something() -> None:
    live = apply(None, {"need": "x"})

    shared = apply(live, {"need": "x"}, manager="b", now="2027-01-01T00:00:00Z")

    assert owners(shared) == {
        "a Apply": {"f:spec": {"f:need": {}}},
        "b Apply": {"f:spec": {"f:need": {}}},
    }
    times = {one["manager"]: one.get("time") for one in shared["metadata"]["managedFields"]}
    assert times == {"a": "2026-11-26T08:00:00Z", "b": None}


def test_what_its_only_owner_drops_is_gone_and_what_is_shared_stays() -> None:
    live = apply(None, {"need": "x", "int": 1, "set": ["p", "q"], "map": [{"name": "m"}]})
    live = apply(live, {"need": "x", "set": ["q"]}, manager="b")

    left = apply(live, {"int": 2})

    assert left["spec"] == {"need": "x", "int": 2, "set": ["q"]}
    assert owners(left)["b Apply"] == {"f:spec": {"f:need": {}, "f:set": {'v:"q"': {}}}}


def test_lists_are_whole_unless_they_are_sets_or_maps() -> None:
    live = apply(None, {"need": "x", "arr": ["a"], "set": ["1", "2", "3"]})

    merged = apply(live, {"arr": ["b"], "set": ["3", "9", "1"]}, manager="b", force=True)

    assert merged["spec"]["arr"] == ["b"]
    assert merged["spec"]["set"] == ["2", "3", "9", "1"]


@pytest.mark.parametrize(
    ("there", "wanted", "merged"),
    [
        ("123", "391", "2391"),
        ("abc", "cza", "bcza"),
        ("abc", "xb", "axbc"),
        ("ab", "xy", "abxy"),
        ("abcd", "dca", "bdca"),
    ],
)
def test_elements_go_as_wanted_and_the_others_stay_behind_what_they_followed(
    there: str, wanted: str, merged: str
) -> None:
    live = apply(None, {"need": "x", "set": list(there)})

    after = apply(live, {"need": "x", "set": list(wanted)}, manager="b")

    assert "".join(after["spec"]["set"]) == merged


def test_what_loses_all_its_parts_while_it_is_still_owned_is_null() -> None:
    live = apply(None, {"need": "x", "obj": {"k": 1}})

    after = apply(live, {"need": "x", "obj": {}})

    assert after["spec"] == {"need": "x", "obj": None}
    assert owners(after)["a Apply"] == {"f:spec": {"f:need": {}, "f:obj": {}}}


def test_null_in_the_place_of_a_map_is_no_conflict_with_who_made_the_map() -> None:
    live = update(None, thing({"need": "x", "deep": {"c": {}}}), manager="maker")
    live = apply(live, {"need": "x", "deep": {"c": {"d": 1}}})

    after = apply(live, {"need": "x", "deep": {}})

    assert after["spec"]["deep"] == {"c": None}
    assert owners(after)["maker Update"]["f:spec"]["f:deep"] == {".": {}, "f:c": {}}


def test_what_is_under_an_undeclared_key_is_removed_with_the_key() -> None:
    live = apply(None, {"need": "x", "free": {"a": {}}})
    live = apply(live, {"need": "x", "free": {"z": 1}}, manager="b")
    changed = deepcopy(live)
    changed["spec"]["free"]["a"] = {"b": 1}
    live = update(live, changed, manager="u")
    assert owners(live)["u Update"] == {"f:spec": {"f:free": {"f:a": {"f:b": {}}}}}

    assert apply(live, {"need": "x"})["spec"] == {"need": "x", "free": {"z": 1}}


def test_an_element_without_its_key_has_the_key_that_is_its_default() -> None:
    ports: Fields = {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
        "items": {
            "type": "object",
            "properties": {
                "port": {"type": "integer"},
                "protocol": {"type": "string", "default": "TCP"},
            },
        },
    }
    spec: Fields = {"type": "object", "properties": {"ports": ports}}
    schema: Fields = {"type": "object", "properties": {"spec": spec}}
    how: Any = {"force": False, "schema": schema, "now": "", "api_version": VERSION}

    live = server_side_apply(None, thing({"ports": [{"port": 80}]}), manager="a", **how)

    (step,) = (name for name in owners(live)["a Apply"]["f:spec"]["f:ports"])
    assert step == 'k:{"port":80,"protocol":"TCP"}'
    both = server_side_apply(
        live, thing({"ports": [{"port": 80, "protocol": "TCP"}]}), manager="b", **how
    )
    assert both["spec"]["ports"] == [{"port": 80, "protocol": "TCP"}]


def test_a_map_that_is_atomic_is_taken_whole() -> None:
    schema = {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "x-kubernetes-map-type": "atomic",
                "x-kubernetes-preserve-unknown-fields": True,
            }
        },
    }
    how: Any = {"force": True, "schema": schema, "now": "", "api_version": VERSION}
    live = server_side_apply(None, thing({"a": 1}), manager="a", **how)

    after = server_side_apply(live, thing({"b": 2}), manager="b", **how)

    assert after["spec"] == {"b": 2}
    assert owners(after) == {"b Apply": {"f:spec": {}}}


def test_status_belongs_to_its_own_endpoint() -> None:
    live = apply(None, {"need": "x"})

    ready = server_side_apply(
        live,
        thing({"need": "ignored"}) | {"status": {"ready": True}},
        manager="controller",
        force=True,
        schema=SCHEMA,
        now="2026-11-26T08:00:00Z",
        api_version=VERSION,
        subresource="status",
    )

    (entry,) = [one for one in ready["metadata"]["managedFields"] if "subresource" in one]
    assert entry["manager"] == "controller"
    assert entry["fieldsV1"] == {"f:status": {"f:ready": {}}}
    assert owners(apply(ready, {"need": "x"}, status={"ready": False}))["a Apply"] == {
        "f:spec": {"f:need": {}}
    }


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"bogus": 1}, ".spec.bogus: field not declared in schema"),
        ({"need": 5}, ".spec.need: expected string, got &value.valueUnstructured{Value:5}"),
        ({"int": "x"}, ".spec.int: expected numeric (int or float), got string"),
        ({"arr": "q"}, ".spec.arr: expected list, got &{q}"),
        ({"map": {"a": 1}}, ".spec.map: expected list, got &{map[a:1]}"),
        ({"bool": "x"}, ".spec.bool: expected boolean, got &{x}"),
        ({"deep": [1]}, ".spec.deep: expected map, got &{[1]}"),
        ({"set": ["a", "a"]}, '.spec.set: duplicate entries for key [="a"]'),
        (
            {"map": [{"name": "q"}, {"name": "q"}]},
            '.spec.map: duplicate entries for key [name="q"]',
        ),
        (
            {"map": [{"v": 1}]},
            (
                ".spec.map: element 0: associative list with keys has an element that omits all key"
                ' fields ["name"] (and doesn\'t have default values for any key fields)'
            ),
        ),
    ],
)
def test_what_does_not_fit_the_schema_is_not_applied(spec: Fields, text: str) -> None:
    with pytest.raises(UndeclaredError) as refused:
        apply(None, spec)

    assert str(refused.value) == (
        f"failed to create typed patch object (/one; example.com/v1, Kind=Thing): {text}"
    )


def test_a_config_map_has_no_schema_and_is_owned_key_by_key() -> None:
    def of(data: Fields) -> Fields:
        fields: Fields = {"apiVersion": "v1", "kind": "ConfigMap", "data": data}
        return fields | {"metadata": {"name": "c"}}

    how: Any = {"force": False, "schema": None, "now": "", "api_version": "v1"}
    live = server_side_apply(None, of({"a": "1", "b": "2"}), manager="a", **how)

    with pytest.raises(ConflictError):
        server_side_apply(live, of({"a": "2"}), manager="b", **how)
    with pytest.raises(UndeclaredError):
        server_side_apply(live, of({"a": 2}), manager="b", **how)
    assert server_side_apply(live, of({"b": "2"}), manager="a", **how)["data"] == {"b": "2"}
    gone = of({})
    del gone["data"]
    assert "data" not in server_side_apply(live, gone, manager="a", **how)


def test_of_many_updaters_the_oldest_are_remembered_together() -> None:
    live = update(None, thing({"need": "x"}), manager="u00")
    for number in range(1, 14):
        after = deepcopy(live)
        after["spec"].setdefault("obj", {})[f"k{number}"] = number
        now = f"2026-11-26T09:00:{number:02}Z"
        live = update(live, after, manager=f"u{number:02}", now=now)

    names = [one["manager"] for one in live["metadata"]["managedFields"]]
    assert len(names) == 10
    assert "ancient-changes" in names
    assert {"u13", "u05"} <= set(names)
    paths = owners(live)["ancient-changes Update"]["f:spec"]
    assert {"f:need", "f:obj"} <= set(paths)


def test_managed_fields_of_one_empty_entry_forget_every_owner() -> None:
    live = apply(None, {"need": "x"})
    after = deepcopy(live)
    after["metadata"]["managedFields"] = [{}]

    assert "managedFields" not in update(live, after)["metadata"]


# --- any sequence of applies, against an exact model ---------------------------------------------

LEAVES = ("k1", "k2", "k3", "s1", "s2", "m1", "m2")
"""Keys of a map, elements of a set, and of a list that is a map; only the first have a value, the rest are 0."""

values = st.dictionaries(st.sampled_from(LEAVES), st.integers(0, 2), max_size=len(LEAVES))
steps = st.lists(st.tuples(st.sampled_from("abc"), values, st.booleans()), max_size=12)


def spec_of(leaves: dict[str, int]) -> Fields:
    """A spec that holds the leaves; an element has no value but its being there."""
    holding: Fields = {
        "obj": {name: value for name, value in leaves.items() if name[0] == "k"},
        "set": [name for name in leaves if name[0] == "s"],
        "map": [{"name": name} for name in leaves if name[0] == "m"],
    }
    return {"need": "x"} | {name: held for name, held in holding.items() if held}


def leaves_of(obj: Fields) -> dict[str, int]:
    spec = obj["spec"]
    return {
        **spec.get("obj", {}),
        **dict.fromkeys(spec.get("set", []), 0),
        **{one["name"]: 0 for one in spec.get("map", [])},
    }


@given(steps)
def test_any_sequence_of_applies_does_what_the_model_does(
    sequence: list[tuple[str, dict[str, int], bool]],
) -> None:
    live = apply(None, spec_of({}), manager="first")
    there: dict[str, int] = {}
    owned: dict[str, set[str]] = {name: set() for name in LEAVES}
    for manager, drawn, force in sequence:
        wanted = {name: value if name[0] == "k" else 0 for name, value in drawn.items()}
        contested = {
            name
            for name, value in wanted.items()
            if owned[name] - {manager} and there[name] != value
        }
        if contested and not force:
            with pytest.raises(ConflictError) as refused:
                apply(live, spec_of(wanted), manager=manager)
            fields = " ".join(one.field for one in refused.value.causes)
            assert all(name in fields for name in contested)
            continue
        live = apply(live, spec_of(wanted), manager=manager, force=force)
        for name in LEAVES:
            if name not in wanted:
                owned[name].discard(manager)
            else:
                same = there.get(name) == wanted[name]
                owned[name] = (owned[name] if same else set()) | {manager}
        there = {name: wanted.get(name, there.get(name, 0)) for name in LEAVES if owned[name]}
        assert leaves_of(live) == there
        assert apply(live, spec_of(wanted), manager=manager, now="2030-01-01T00:00:00Z") == live
    for name in LEAVES:
        holders = {
            one["manager"]
            for one in live["metadata"]["managedFields"]
            if f'"{name}"' in str(one["fieldsV1"]) or f"f:{name}" in str(one["fieldsV1"])
        }
        assert holders == owned[name]


@given(steps)
def test_a_sequence_leaves_what_it_was_given(
    sequence: list[tuple[str, dict[str, int], bool]],
) -> None:
    live = apply(None, spec_of({}), manager="first")
    for manager, leaves, _ in sequence:
        before, spec = deepcopy(live), spec_of(leaves)
        wanted = deepcopy(spec)
        after = apply(live, spec, manager=manager, force=True)
        assert (live, spec) == (before, wanted)
        live = after
