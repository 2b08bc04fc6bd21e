"""Deleted, or only out of the selector: what is delivered, when, and in which order."""

from __future__ import annotations

import asyncio
import itertools

import msgspec
import pytest

from operators.model.event import Change, ObjectRef, RemovalReason, Tombstone
from streams.sources.informer.dispatcher import CHECKED_AT_ONCE, Dispatcher
from streams.sources.informer.listing import ReadOrigin, ReflectorOutput
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import CONFIG_MAP, DELETED, decoded, kind_of, name_of, reason_of
from tests.kit.model_api import status
from tests.kit.model_client import CONFIG_MAPS, Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import SELECTED, Subscriber, World, play

IN, OUT = {"in": "yes"}, {"in": "no"}


def removals(one: Subscriber) -> list[tuple[str, RemovalReason]]:
    return [
        (name_of(change), reason_of(change)) for change in one.told if kind_of(change) == DELETED
    ]


async def begin(world: World, *names: str) -> Subscriber:
    for name in names:
        world.api.put(name, **IN)
    one = world.subscribe(SELECTED)
    await world.until(lambda: world.client.open_watches == 1)
    return one


def test_one_get_distinguishes_a_deletion_from_leaving_the_selector() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b", "c")
        world.api.put("a", **OUT)
        world.api.delete("b")
        world.api.delete("c")
        world.api.put("c", **OUT)  # another uid
        await world.until(lambda: len(removals(one)) == 3)
        assert removals(one) == [
            ("a", RemovalReason.LEFT_SELECTOR),
            ("b", RemovalReason.DELETED),
            ("c", RemovalReason.DELETED),
        ]
        assert all(change.raw for change in one.told)
        assert (one.subscription.read_counts.lines, one.subscription.read_counts.gets) == (3, 0)

    world = play(scene)
    assert world.client.count("get") == 3


def test_a_terminating_object_was_deleted_without_a_check() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a")
        world.api.terminate("a")
        world.api.delete("a")
        await world.until(lambda: removals(one) == [("a", RemovalReason.DELETED)])

    world = play(scene)
    assert world.client.count("get") == 0


def test_what_a_relist_lacks_is_checked_too() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b")
        world.client.watches[-1].is_silent = True
        world.api.put("a", **OUT)
        world.api.delete("b")
        world.api.forget()
        world.client.watches[-1].is_cut = True
        await world.until(lambda: len(removals(one)) == 2)
        assert sorted(removals(one)) == [
            ("a", RemovalReason.LEFT_SELECTOR),
            ("b", RemovalReason.DELETED),
        ]
        assert one.subscription.read_counts.synthetic_deletes == 2

    play(scene)


def test_a_change_of_an_object_releases_its_pending_removal_first() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b")
        answered = asyncio.Event()

        async def slow(asked: Asked) -> Reply | None:
            if asked.verb == "get":
                await answered.wait()
            return None

        world.client.interfere = slow
        world.api.put("a", **OUT)
        world.api.put("a", **IN)  # the same one: it had left
        world.api.delete("b")
        world.api.put("b", **IN)  # another one: the first was deleted
        await world.until(lambda: len(one.told) == 6)
        assert one.changes[2:] == [
            (DELETED, "a"),
            (Change.ADDED, "a"),
            (DELETED, "b"),
            (Change.ADDED, "b"),
        ]
        assert removals(one) == [("a", RemovalReason.LEFT_SELECTOR), ("b", RemovalReason.DELETED)]
        answered.set()
        await world.rest(1)
        assert len(one.told) == 6

    play(scene)


def test_a_check_that_fails_is_repeated_and_one_that_is_forbidden_is_a_deletion() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b")
        answers = [refusal(500), Reply(200, b"no object"), None, refusal(403)]

        async def fail(asked: Asked) -> Reply | None:
            return answers.pop(0) if asked.verb == "get" else None

        world.client.interfere = fail
        world.api.put("a", **OUT)
        world.api.put("b", **OUT)
        await world.until(lambda: len(removals(one)) == 2)
        assert removals(one) == [("a", RemovalReason.LEFT_SELECTOR), ("b", RemovalReason.DELETED)]

    play(scene)


def test_a_check_without_a_clear_response_delays_no_other() -> None:
    async def scene(world: World) -> None:
        silent = [f"s{number}" for number in range(CHECKED_AT_ONCE)]
        one = await begin(world, *silent, "z")

        async def fail(asked: Asked) -> Reply | None:
            return refusal(500) if asked.name in silent else None

        world.client.interfere = fail
        for name in (*silent, "z"):
            world.api.put(name, **OUT)
        await world.until(lambda: removals(one) == [("z", RemovalReason.LEFT_SELECTOR)])
        world.client.interfere = nothing
        await world.until(lambda: len(removals(one)) == CHECKED_AT_ONCE + 1)

    play(scene)


@pytest.mark.parametrize("code", [408, 415, 500])
def test_a_check_is_repeated_at_least_every_half_minute(code: int) -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a")
        tried_at = list[float]()

        async def fail(asked: Asked) -> Reply | None:
            if asked.verb != "get":
                return None
            tried_at.append(world.loop.time())
            return refusal(code)

        world.client.interfere = fail
        world.api.put("a", **OUT)
        await world.until(lambda: len(tried_at) == 9)
        waits = [round(later - sooner, 1) for sooner, later in itertools.pairwise(tried_at)]
        assert waits == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
        assert removals(one) == []

    play(scene)


def dispatcher(target: WatchTarget = CONFIG_MAPS) -> Dispatcher:
    made = Dispatcher(target, random=lambda: 0.0)
    made.reflector.on_discovered(CONFIG_MAP)
    return made


def removal(name: str, raw: bytes) -> ObjectChange:
    tombstone = Tombstone(CONFIG_MAP, "u", "7")
    return ObjectChange(f"n/{name}", ObjectRef("v1", "ConfigMap", "n", name), tombstone, raw)


HALF = b"x" * (8 * 1024 * 1024)


def test_last_states_of_pending_removals_are_kept_up_to_a_bound() -> None:
    async def scene(_: World) -> None:
        one = dispatcher(SELECTED)
        removals = [removal(name, HALF) for name in "abc"]
        one.dispatch(ReflectorOutput(removals=removals), ReadOrigin.LINE)
        pending = one.pending_removals
        assert [len(change.raw) for change, _ in pending.values()] == [len(HALF), len(HALF), 0]
        one.confirm_removal("n/a", alive_uid="")
        one.dispatch(ReflectorOutput(removals=[removal("d", HALF)]), ReadOrigin.LINE)
        assert len(pending["n/d"][0].raw) == len(HALF)
        one.dispatch(ReflectorOutput(removals=[removal("e", b"x")]), ReadOrigin.LINE)
        assert not pending["n/e"][0].raw  # 16 MiB and a byte

    play(scene)


def page(version: str) -> bytes:
    return msgspec.json.encode({"metadata": {"resourceVersion": version}, "items": []})


def test_after_a_restore_from_a_backup_no_state_is_newer_than_the_watch() -> None:
    one = dispatcher()
    for output in one.reflector.on_page(page("10"), 0):
        one.dispatch(output, ReadOrigin.LIST)
    one.dispatch_newer(decoded("a", "50"), ReadOrigin.GET)
    assert one.version == "50"

    text = msgspec.json.encode(status(504, "Timeout", "Too large resource version: 10, current: 5"))
    one.reflector.on_error_response(504, text, now_ns=0)
    for output in one.reflector.on_page(page("5"), 0):
        one.dispatch(output, ReadOrigin.LIST)

    assert one.version == "5"
