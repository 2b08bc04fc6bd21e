"""The store against an exact reference: every state of every version that is not forgotten."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from demo.apiserver.store import Entry, History, Store, VersionExpired, Versions

Shown = dict[str, tuple[int, Any]]


def obj(name: str, value: object) -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": f"u-{name}"}, "data": {"v": value}}


def shown(entries: list[Entry]) -> Shown:
    def value(entry: Entry) -> Any:
        return msgspec.json.decode(b"{" + entry.tail())["data"]["v"]

    return {entry.key: (entry.version, value(entry)) for entry in entries}


def put(store: Store, name: str, value: object) -> Entry:
    return store.put(store.encoded(name, obj(name, value)))


def walk(store: Store, versions: Versions, *, seed: int, steps: int) -> dict[int, Shown]:
    """Let things happen; returns what there was at every version."""
    chance, now = Random(seed), dict[str, tuple[int, Any]]()
    states = {versions.current: dict(now)}
    for step in range(steps):
        name = f"n{chance.randrange(6)}"
        if name in now and chance.random() < 0.3:
            store.remove(name)
            del now[name]
        elif chance.random() < 0.2:
            versions.next()  # something happens to another resource
        else:
            now[name] = (put(store, name, step).version, step)
        states[versions.current] = dict(now)
    return states


@pytest.mark.parametrize("seed", range(5))
def test_every_version_is_reconstructed(seed: int) -> None:
    versions = Versions()
    store = Store(versions)

    states = walk(store, versions, seed=seed, steps=80)

    assert max(len(state) for state in states.values()) > 3
    for version, state in states.items():
        assert shown(store.at(version)) == state
        assert [entry.key for entry in store.at(version)] == sorted(state)


def test_beyond_its_bound_the_oldest_is_forgotten() -> None:
    versions = Versions()
    store = Store(versions, history=History(events=10))

    states = walk(store, versions, seed=3, steps=60)

    floor = store.history.floor
    told = [version for version in states if version >= floor]
    assert store.history.end - store.history.first == 10
    assert all(shown(store.at(version)) == states[version] for version in told)
    with pytest.raises(VersionExpired):
        store.at(floor - 1)


def test_large_objects_make_the_ring_shorter() -> None:
    store = Store(Versions(), history=History(size_bytes=10_000))
    for step in range(50):
        put(store, "n", "x" * 1_000 + str(step))

    assert 1 <= store.history.end - store.history.first <= 5
    put(store, "n", "x" * 50_000)
    assert store.history.end - store.history.first == 1


def test_the_ring_holds_what_is_behind_a_version() -> None:
    versions = Versions()
    store = Store(versions)
    at = [put(store, "n", step).version for step in range(5)]

    for number, version in enumerate(at):
        rest = store.history.since(store.history.after(version))
        assert [it.version for it in rest] == at[number + 1 :]


def test_forgetting_leaves_the_present() -> None:
    versions = Versions()
    store = Store(versions)
    before = put(store, "n", 1).version
    put(store, "n", 2)
    store.forget_history()

    assert shown(store.now()) == {"n": (versions.current, 2)}
    with pytest.raises(VersionExpired):
        store.at(before)


def test_what_leaves_is_shown_with_the_version_of_its_leaving() -> None:
    store = Store(Versions())
    entry = put(store, "n", 1)

    gone = entry.at(9)

    assert msgspec.json.decode(b"{" + gone.tail())["metadata"]["resourceVersion"] == "9"
    assert gone.rest is entry.rest


def test_empty_metadata_is_still_json() -> None:
    store = Store(Versions())
    entry = store.put(store.encoded("n", {"metadata": {}}))

    assert msgspec.json.decode(b"{" + entry.tail()) == {"metadata": {"resourceVersion": "2"}}
