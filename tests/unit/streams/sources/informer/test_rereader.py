"""Reading again: what late subscribers, resyncs and objects without room need, and only that."""

from __future__ import annotations

import asyncio
import itertools
from itertools import count

import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Change, RemovalReason
from operators.model.outcome import Suspension
from streams.cluster.errors import ResponseTooLargeError, UnreachableError
from streams.sources.informer.dispatcher import CHECKED_AT_ONCE, Dispatcher
from streams.sources.informer.listing import ReadOrigin
from streams.sources.informer.rereader import Rereader
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.target import TargetClient, WatchTarget
from tests.kit.changes import DELETED, is_inferred, is_initial, kind_of, name_of, reason_of
from tests.kit.model_api import ModelApi
from tests.kit.model_client import Asked, ModelClient, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import SELECTED, Subscriber, World, play


async def watching(world: World) -> None:
    await world.until(lambda: world.client.open_watches == 1)
    await world.rest(0.1)


async def drain(world: World, one: Subscriber, *, every_seconds: float = 0.01) -> None:
    """Settle what is held, one event after another, until nothing is left to be told."""
    while one.room.items or one.subscription.dirty_objects:
        await world.rest(every_seconds)
        if one.room.items:
            one.settle()


# --- late subscribers


def test_a_late_subscriber_gets_a_list_of_its_own_and_disturbs_no_other() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        first = world.subscribe()
        await watching(world)
        late = world.subscribe()
        assert not late.subscription.synced.is_set()
        await late.subscription.synced.wait()
        assert late.known == world.server
        assert {kind_of(change) for change in late.told} == {Change.ADDED}
        assert all(is_initial(change) for change in late.told)
        assert len(first.told) == 25
        world.api.put("new")
        await world.in_step()
        assert first.told[-1] is late.told[-1]

    world = play(scene)
    assert world.client.count("watch") == 1
    lists = [one.query for one in world.client.asked if one.verb == "list"]
    assert lists[3]["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in lists[4]


def test_a_subscriber_that_comes_while_the_first_list_is_read_is_late() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        first = world.subscribe()
        await world.until(lambda: len(first.told) > 0)
        late = world.subscribe()
        await late.subscription.synced.wait()
        assert late.known == world.server

    play(scene)


def test_two_late_subscribers_share_a_list() -> None:
    async def scene(world: World) -> None:
        world.fill(5)
        world.subscribe()
        await watching(world)
        one, other = world.subscribe(), world.subscribe()
        await one.subscription.synced.wait()
        await other.subscription.synced.wait()
        assert one.known == other.known == world.server

    world = play(scene)
    assert world.client.count("list") == 2


def test_what_changes_while_a_late_list_is_read_is_delivered_in_order() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        first = world.subscribe()
        await watching(world)

        async def change(asked: Asked) -> Reply | None:
            if "continue" in asked.query:
                for name in ("c000", "c012", "c024"):
                    world.api.put(name)
                if "c023" in world.api.objects:
                    world.api.delete("c023")
                world.api.delete("c022")
                world.api.put("c022")
                await world.rest(0.5)  # the watch is faster than the page
            return None

        world.client.interfere = change
        late = world.subscribe()
        await late.subscription.synced.wait()
        await world.in_step()
        newest = dict[str, int]()
        for told in late.told:
            assert int(told.payload.version) >= newest.get(name_of(told), 0)
            newest[name_of(told)] = int(told.payload.version)
        assert late.subscription.read_counts.duplicates > 0
        assert first.known == late.known

    play(scene)


def test_a_list_newer_than_the_watch_is_delivered_to_all_and_the_line_is_the_duplicate() -> None:
    async def scene(world: World) -> None:
        world.fill(5)
        first = world.subscribe()
        await watching(world)
        world.client.watches[-1].is_silent = True
        world.api.put("c001")
        world.api.put("new")
        world.api.delete("c002")
        late = world.subscribe()
        await late.subscription.synced.wait()
        assert first.changes[5:] == [(Change.MODIFIED, "c001"), (Change.ADDED, "new")]
        assert first.subscription.knows("default/c002")  # only the watch takes objects away
        duplicates = first.subscription.read_counts.duplicates
        world.client.watches[-1].is_silent = False
        await world.in_step()
        assert first.subscription.read_counts.duplicates == duplicates + 2
        assert len(first.told) == 8

    play(scene)


async def overtaken(world: World) -> None:
    """Let a GET tell of a state that the watch has not brought yet."""
    world.client.watches[-1].is_silent = True
    world.api.put("c001")
    world.subscribers[0].subscription.mark_dirty("default/c001")
    await world.in_step()


def test_a_late_list_is_as_new_as_all_that_was_dispatched() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        world.subscribe()
        await watching(world)
        await overtaken(world)
        late = world.subscribe()
        await late.subscription.synced.wait()

    world = play(scene)
    lists = [one.query for one in world.client.asked if one.verb == "list"]
    assert lists[-1]["resourceVersion"] == str(world.api.version)


@pytest.mark.parametrize("capacity", [1000, 2])
def test_what_a_late_subscriber_missed_is_read_again_where_its_list_is_older(capacity: int) -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        world.subscribe()
        await watching(world)
        stale = Reply(*world.api.list({}))
        await overtaken(world)

        async def answer_from_a_cache(asked: Asked) -> Reply | None:
            return stale if asked.verb == "list" else None

        world.client.interfere = answer_from_a_cache
        late = world.subscribe(capacity=capacity)
        late.holds = True
        world.subscribe()  # nobody waits for the room of another
        await late.subscription.synced.wait()
        await drain(world, late)
        await world.in_step()

    world = play(scene)
    assert world.client.count("get") >= 2


def test_what_the_watch_brought_a_late_subscriber_is_not_read_again() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        world.subscribe()
        await watching(world)

        async def change(asked: Asked) -> Reply | None:
            if "continue" in asked.query:
                world.api.put("c024")
                await world.rest(0.5)
            return None

        world.client.interfere = change
        late = world.subscribe()
        await late.subscription.synced.wait()
        assert late.subscription.read_counts.duplicates > 0
        assert late.subscription.dirty_objects == 0
        await world.in_step()

    world = play(scene)
    assert world.client.count("get") == 0


def test_an_expired_token_is_continued_at_a_newer_version_or_begun_anew() -> None:
    async def scene(world: World) -> None:
        world.fill(35)
        world.subscribe()
        await watching(world)
        expired = 0

        async def expire(asked: Asked) -> Reply | None:
            nonlocal expired
            if "continue" in asked.query and expired < 2:
                expired += 1
                world.api.put("c000")
                world.api.forget_tokens()
                return refusal(410, "Expired") if expired == 1 else None
            return None

        world.client.interfere = expire
        late = world.subscribe()
        await late.subscription.synced.wait()
        await world.in_step()

    world = play(scene)
    firsts = [a for a in world.client.asked if a.verb == "list" and "continue" not in a.query]
    assert len(firsts) == 3  # the informer's own, the late one's, and once more


@pytest.mark.parametrize("instead", [refusal(504), refusal(400), refusal(410)])
def test_a_version_that_cannot_be_served_is_left_out(instead: Reply) -> None:
    async def scene(world: World) -> None:
        world.fill(5)
        world.subscribe()
        await watching(world)

        async def refuse(asked: Asked) -> Reply | None:
            return instead if "resourceVersion" in asked.query else None

        world.client.interfere = refuse
        late = world.subscribe()
        await late.subscription.synced.wait()

    if instead.status == 504:
        too_large = b'{"code":504,"message":"Too large resource version: 9, current: 1"}'
        instead = Reply(504, too_large)
    play(scene)


def test_a_page_that_fails_is_requested_again_and_no_other() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        world.subscribe()
        await watching(world)
        answers: list[Reply | Exception | None] = [
            refusal(500),
            UnreachableError("reset"),
            None,
            ResponseTooLargeError("64 MiB"),
            Reply(200, b"{}"),
            refusal(429, retry_after=50.0),
        ]

        async def fail(asked: Asked) -> Reply | None:
            answer = answers.pop(0) if asked.verb == "list" and answers else None
            if isinstance(answer, Exception):
                raise answer
            return answer

        world.client.interfere = fail
        since = world.loop.time()
        late = world.subscribe()
        await late.subscription.synced.wait()
        assert late.known == world.server
        assert len(late.told) == 25
        assert world.loop.time() - since > 50

    play(scene)


# --- resync


def test_a_resync_delivers_everything_again_to_its_subscribers() -> None:
    async def scene(world: World) -> None:
        world.fill(15)
        quiet = world.subscribe()
        often = world.subscribe(resync_seconds=60.0)
        seldom = world.subscribe(resync_seconds=120.0)
        await watching(world)
        await world.rest(200)
        assert len(quiet.told) == 15
        assert [kind_of(change) for change in often.told].count(Change.RESYNC) == 45
        assert [kind_of(change) for change in seldom.told].count(Change.RESYNC) == 15

    world = play(scene)
    assert (
        world.client.count("list") == 2 + 3 * 2
    )  # the second of the one is the first of the other


def test_a_resync_repairs_what_the_watch_did_not_bring() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        world.subscribe()
        world.subscribe(resync_seconds=60.0)
        await watching(world)
        world.client.watches[-1].is_silent = True
        world.api.put("c001")
        await world.in_step()
        assert world.subscribers[0].changes[-1] == (Change.MODIFIED, "c001")

    play(scene)


# --- what found no room


def test_what_found_no_room_is_delivered_when_there_is_some() -> None:
    async def scene(world: World) -> None:
        world.fill(200)
        one = world.subscribe(capacity=5)
        one.holds = True
        await watching(world)
        assert (len(one.told), one.subscription.dirty_objects) == (5, 195)
        assert one.subscription.synced.is_set()
        await world.rest(10)
        assert len(one.told) == 5
        await drain(world, one)
        assert one.known == world.server

    world = play(scene)
    assert world.client.count("get") <= 10


def test_the_watch_is_read_on_without_room_and_only_the_newest_state_is_delivered() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe(capacity=1)
        one.holds = True
        await watching(world)
        for _ in range(5):
            world.api.put("c002")
        world.api.delete("c001")
        await world.until(lambda: one.subscription.read_counts.lines == 6)
        await drain(world, one)
        assert one.known == world.server
        assert one.changes == [
            (Change.ADDED, "c000"),
            (DELETED, "c001"),
            (Change.MODIFIED, "c002"),
        ]

    world = play(scene)
    assert world.client.count("get") == 1
    assert world.client.count("list") == 1


def test_few_are_read_one_by_one_and_many_by_a_list() -> None:
    async def scene(world: World) -> None:
        world.fill(50)
        one = world.subscribe()
        await watching(world)
        for number in range(10):
            one.subscription.mark_dirty(f"default/c{number:03}")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert (world.client.count("get"), world.client.count("list")) == (10, 5)
        for number in range(11):
            one.subscription.mark_dirty(f"default/c{number:03}")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert (world.client.count("get"), world.client.count("list")) == (10, 7)
        assert len(one.told) == 50 + 21

    play(scene)


def test_one_get_serves_all_that_marked_the_object() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        both = world.subscribe(), world.subscribe()
        await watching(world)
        for one in both:
            one.subscription.mark_dirty("default/c001")
        await world.until(lambda: not any(one.subscription.dirty_objects for one in both))
        assert [len(one.told) for one in both] == [4, 4]

    world = play(scene)
    assert world.client.count("get") == 1


def test_a_change_of_the_watch_clears_a_mark() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        one.room.capacity = 0  # nothing is read again
        await watching(world)
        one.subscription.mark_dirty("default/c001")
        world.api.put("c001")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert one.changes[-1] == (Change.MODIFIED, "c001")

    world = play(scene)
    assert world.client.count("get") == 0


def test_a_get_that_is_newer_than_the_watch_is_delivered_to_all() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one, other = world.subscribe(), world.subscribe()
        await watching(world)
        world.client.watches[-1].is_silent = True
        world.api.put("c001")
        world.api.delete("c002")
        world.api.put("c002")
        one.subscription.mark_dirty("default/c001")
        one.subscription.mark_dirty("default/c002")
        await world.in_step()
        assert other.changes[3:] == [
            (Change.MODIFIED, "c001"),
            (DELETED, "c002"),
            (Change.ADDED, "c002"),
        ]
        world.client.watches[-1].is_silent = False
        await world.rest(1)
        assert len(other.told) == 6
        assert one.subscription.dirty_objects == 0

    play(scene)


def test_with_a_selector_a_newer_get_is_left_to_the_watch() -> None:
    async def scene(world: World) -> None:
        world.api.put("a", **{"in": "yes"})
        one = world.subscribe(SELECTED)
        await watching(world)
        world.client.watches[-1].is_silent = True
        world.api.put("a", **{"in": "no"})
        one.subscription.mark_dirty("default/a")
        await world.rest(5)
        assert one.changes == [(Change.ADDED, "a")]
        assert world.client.count("get") in {5, 6}  # one a second
        world.client.watches[-1].is_silent = False
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert reason_of(one.told[-1]) is RemovalReason.LEFT_SELECTOR

    play(scene)


def test_an_object_removed_before_the_watch_brings_it_is_left_to_the_watch() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        await watching(world)
        world.client.watches[-1].is_silent = True
        world.api.delete("c001")
        one.subscription.mark_dirty("default/c001")
        one.subscription.mark_dirty("default/c002")
        await world.until(lambda: one.changes[3:] == [(Change.MODIFIED, "c002")])
        world.client.watches[-1].is_silent = False
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert kind_of(one.told[-1]) == DELETED
        assert one.told[-1].raw

    play(scene)


def test_where_get_is_forbidden_lists_replace_it() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        await watching(world)

        async def forbid(asked: Asked) -> Reply | None:
            return refusal(403) if asked.verb == "get" else None

        world.client.interfere = forbid
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert (world.client.count("get"), world.client.count("list")) == (1, 3)

        world.client.interfere = nothing  # the right is granted
        await world.rest(300)
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_objects == 0)

    world = play(scene)
    assert (world.client.count("get"), world.client.count("list")) == (2, 3)


def test_an_object_too_large_for_the_room_that_is_left_is_tried_once_a_second() -> None:
    async def scene(world: World) -> None:
        world.fill(1)
        one = world.subscribe()
        await watching(world)
        one.refuses = True
        one.subscription.mark_dirty("default/c000")
        one.subscription.mark_dirty("default/gone")
        await world.rest(10)
        assert 5 <= one.spilled <= 30
        assert one.subscription.dirty_objects == 2

    world = play(scene)
    assert world.client.count("get") <= 12


def starts(times: list[float]) -> list[float]:
    """The waits between attempts, to a tenth of a second."""
    return [round(later - sooner, 1) for sooner, later in itertools.pairwise(times)]


@pytest.mark.parametrize("code", [408, 415, 500, 503])
def test_an_object_that_cannot_be_got_stays_dirty_and_is_tried_at_least_every_half_minute(
    code: int,
) -> None:
    async def scene(world: World) -> None:
        world.fill(1)
        one = world.subscribe()
        await watching(world)
        tried_at = list[float]()

        async def fail(asked: Asked) -> Reply | None:
            if asked.verb != "get":
                return None
            tried_at.append(world.loop.time())
            return refusal(code)

        world.client.interfere = fail
        one.subscription.mark_dirty("default/c000")
        await world.until(lambda: len(tried_at) == 9)
        assert starts(tried_at) == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]
        assert one.subscription.dirty_objects == 1
        assert one.subscription.up
        world.client.interfere = nothing
        await world.until(lambda: one.subscription.dirty_objects == 0)

    play(scene)


@pytest.mark.parametrize("code", [408, 415, 500])
def test_a_list_that_is_refused_is_repeated_from_the_same_page(code: int) -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        world.subscribe()
        await watching(world)

        async def fail(asked: Asked) -> Reply | None:
            if "continue" not in asked.query:
                return None
            world.client.interfere = nothing
            return refusal(code)

        world.client.interfere = fail
        before = world.client.count("list")
        late = world.subscribe()
        await late.subscription.synced.wait()
        lists = [one.query for one in world.client.asked if one.verb == "list"][before:]
        assert lists[1] == lists[2]
        assert len(lists) == 4

    play(scene)


# --- removals that found no room


def test_a_removal_that_found_no_room_is_delivered_without_a_request() -> None:
    async def scene(world: World) -> None:
        world.fill(300)
        one = world.subscribe()
        await watching(world)
        one.holds = True
        one.room.capacity = 0
        for name in list(world.api.objects):
            world.api.delete(name)
        await world.until(lambda: one.subscription.dirty_objects == 300)
        one.room.capacity = 1000
        most = count = 0
        deliver = one.subscription.deliver

        def counting(change: ObjectChange, origin: ReadOrigin) -> None:
            nonlocal most, count
            if not count:
                world.loop.call_soon(give_back)
            count += 1
            most = max(most, count)
            deliver(change, origin)

        def give_back() -> None:
            nonlocal count
            count = 0

        one.subscription.deliver = counting
        one.subscription.notify_resumed()
        await world.in_step()
        assert most == 100
        assert one.subscription.read_counts.synthetic_deletes == 300

    world = play(scene)
    assert (world.client.count("get"), world.client.count("list")) == (0, 30)


def test_a_removal_that_is_not_tracked_is_discarded() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(is_tracked="default/a".__eq__)
        one.room.capacity = 0
        await watching(world)
        one.subscription.mark_dirty("default/a")
        one.subscription.mark_dirty("default/b")
        one.subscription.mark_dirty("/")
        assert one.subscription.dirty_objects == 1

    play(scene)


def test_with_a_selector_one_get_finds_the_reason_of_a_removal() -> None:
    async def scene(world: World) -> None:
        for name in ("left", "still", "remade"):
            world.api.put(name, **{"in": "no"})
        one = world.subscribe(SELECTED)
        await watching(world)
        answers: list[Reply | None] = [refusal(500)]

        async def fail(asked: Asked) -> Reply | None:
            return answers.pop() if asked.verb == "get" and answers else None

        world.client.interfere = fail
        one.subscription.mark_dirty("default/left")
        one.subscription.mark_dirty("default/gone", uid="uid-0")
        one.subscription.mark_dirty("default/still", uid=world.api.objects["still"].uid)
        one.subscription.mark_dirty("default/remade", uid="uid-0")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert {name_of(change): reason_of(change) for change in one.told} == {
            "left": RemovalReason.LEFT_SELECTOR,
            "gone": RemovalReason.DELETED,
            "still": RemovalReason.LEFT_SELECTOR,
            "remade": RemovalReason.DELETED,
        }
        assert {change.payload.uid for change in one.told} == {"", "uid-0", "uid-2"}

    play(scene)


def test_outside_of_the_targets_namespace_one_get_finds_the_reason_too() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(WatchTarget("", "v1", "configmaps", namespace="other"))
        await watching(world)
        world.client.watches[-1].is_silent = True
        uid = world.api.put("elsewhere").uid
        one.subscription.mark_dirty("default/elsewhere", uid=uid)
        one.subscription.mark_dirty("other/gone", uid="uid-0")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        told = {name_of(change): reason_of(change) for change in one.told if change.payload.uid}
        assert told == {"elsewhere": RemovalReason.LEFT_SELECTOR, "gone": RemovalReason.DELETED}

    world = play(scene)
    assert [one.path for one in world.client.asked if one.verb == "get"] == [
        "/api/v1/namespaces/default/configmaps/elsewhere"
    ]


def test_only_8_checks_are_in_flight_at_once_whatever_fails() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(SELECTED)
        await watching(world)
        under_way, most = 0, 0
        failures = 50

        async def slow(_: Asked) -> Reply | None:
            nonlocal under_way, most, failures
            under_way += 1
            most = max(most, under_way)
            await world.rest(0.2)
            under_way -= 1
            failures -= 1
            return refusal(500) if failures > 0 else None

        world.client.interfere = slow
        for number in range(100):
            one.subscription.mark_dirty(f"default/c{number:03}", uid="uid-0")
        await world.until(lambda: len(one.told) == 100)
        assert most == 8
        assert {kind_of(change) for change in one.told} == {DELETED}

    play(scene)


def test_checks_without_a_clear_response_cost_one_wait_and_delay_nothing_else() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(SELECTED)
        await watching(world)
        since = world.loop.time()

        async def fail(asked: Asked) -> Reply | None:
            return refusal(500) if asked.name.startswith("c0") else None

        world.client.interfere = fail
        for number in range(CHECKED_AT_ONCE):
            one.subscription.mark_dirty(f"default/c{number:03}", uid="uid-0")
        one.subscription.mark_dirty("default/z", uid="uid-0")
        await world.until(lambda: one.changes == [(DELETED, "z")])
        assert world.loop.time() - since < 2
        late = world.subscribe(SELECTED)
        async with asyncio.timeout(5):
            await late.subscription.synced.wait()
        world.client.interfere = nothing
        await world.until(lambda: one.subscription.dirty_objects == 0)

    play(scene)


def test_after_an_unclear_response_nothing_is_requested_for_a_while() -> None:
    async def scene(world: World) -> None:
        world.api.put("a", **{"in": "yes"})
        one = world.subscribe(SELECTED)
        await watching(world)
        asked_at: list[tuple[str, float]] = []

        async def fail(asked: Asked) -> Reply | None:
            asked_at.append((asked.name, world.loop.time()))
            return refusal(500) if asked.name == "gone" else None

        world.client.interfere = fail
        one.subscription.mark_dirty("default/gone", uid="uid-0")
        one.subscription.mark_dirty("default/a")
        await world.until(lambda: one.subscription.dirty_objects == 1)
        (first, then), (second, later) = asked_at[:2]
        assert (first, second) == ("gone", "a")
        assert later - then >= 0.8

    play(scene)


def test_an_object_without_a_response_delays_no_other() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        await watching(world)

        async def fail(asked: Asked) -> Reply | None:
            if asked.name == "c000":
                raise UnreachableError("reset")
            return refusal(500) if asked.name == "c001" else None

        world.client.interfere = fail
        for name in ("c000", "c001", "c002"):
            one.subscription.mark_dirty(f"default/{name}")
        await world.until(lambda: one.changes[3:] == [(Change.MODIFIED, "c002")])

    play(scene)


def test_after_too_many_requests_rereading_resumes_within_ten_minutes() -> None:
    async def scene(world: World) -> None:
        world.fill(1)
        one = world.subscribe()
        await watching(world)
        answers = [refusal(429, retry_after=86_400.0)]

        async def fail(asked: Asked) -> Reply | None:
            return answers.pop() if asked.verb == "get" and answers else None

        world.client.interfere = fail
        since = world.loop.time()
        one.subscription.mark_dirty("default/c000")
        await world.rest(500)
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert 600 <= world.loop.time() - since < 601

    play(scene)


def test_an_object_removed_before_the_start_is_delivered_without_a_request() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await one.subscription.synced.wait()
        one.subscription.mark_dirty("default/x", uid="uid-0")
        await world.until(lambda: one.subscription.dirty_objects == 0)
        (change,) = one.told
        assert (kind_of(change), change.key) == (DELETED, "default/x")
        assert is_inferred(change)
        assert one.subscription.read_counts.synthetic_deletes == 1

    play(scene)


# --- suspensions


def suspended_until(world: World, seconds: float) -> Suspension:
    at_ns = world.loop.clock() + int(seconds * NANOSECONDS_PER_SECOND)
    return Suspension("quota", detail="exceeded", retry_at_ns=at_ns)


def test_one_of_all_that_wait_for_a_suspension_tests_it_every_30_seconds() -> None:
    async def scene(world: World) -> None:
        world.fill(20)
        both = world.subscribe(), world.subscribe()
        await watching(world)
        suspension = suspended_until(world, 30)
        for one in both:
            one.suspension = suspension
            for number in range(20):
                one.subscription.mark_dirty(f"default/c{number:03}", suspension)

        tries = list[int]()
        for _ in range(11):
            await world.rest(10)
            tries.append(sum(one.spilled for one in both))
        assert tries == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
        assert sum(one.subscription.dirty_objects for one in both) == 40
        assert world.client.count("get") == 3

        suspension.is_open = False
        for one in both:
            one.subscription.notify_resumed()
        await world.until(lambda: not any(one.subscription.dirty_objects for one in both))
        assert [len(one.told) for one in both] == [40, 40]

    play(scene)


def test_the_release_of_10000_keys_gives_the_loop_back_and_is_served_by_one_list() -> None:
    async def scene(world: World) -> None:
        world.api = ModelApi(page_objects=500)
        world.client.api = world.api
        world.fill(10_000)
        one = world.subscribe(capacity=20_000)
        await watching(world)
        lists = world.client.count("list")
        suspension = suspended_until(world, 1000)
        keys = one.subscription.keys()
        for key in keys:
            one.subscription.mark_dirty(key, suspension)
        suspension.is_open = False
        released = list[int]()

        def look() -> None:
            due = len(one.subscription.dirty.due)
            released.append(due - sum(released))
            if due < 10_000:
                world.loop.call_soon(look)

        one.subscription.notify_resumed()
        world.loop.call_soon(look)
        await world.until(lambda: sum(released) == 10_000)
        assert max(released) <= 1000
        await world.until(lambda: one.subscription.dirty_objects == 0)
        assert world.client.count("list") - lists == 20

    play(scene)


# --- one subscriber does not delay another


def test_a_subscriber_without_room_delays_no_late_one() -> None:
    async def scene(world: World) -> None:
        world.fill(200)
        stuck = world.subscribe(capacity=5)
        stuck.holds = True
        await watching(world)
        assert stuck.subscription.dirty_objects == 195
        for _ in range(3):
            stuck.settle()
        await world.rest(2)  # its list is under way, and waits
        late = world.subscribe()
        async with asyncio.timeout(20):
            await late.subscription.synced.wait()
        assert late.known == world.server
        await drain(world, stuck)
        assert stuck.known == world.server

    play(scene)


def test_of_two_late_subscribers_one_without_room_does_not_delay_the_other() -> None:
    async def scene(world: World) -> None:
        world.fill(200)
        world.subscribe()
        await watching(world)
        slow, quick = world.subscribe(capacity=5), world.subscribe()
        slow.holds = True
        async with asyncio.timeout(20):
            await quick.subscription.synced.wait()
        assert quick.known == world.server
        assert len(slow.told) == 5
        await drain(world, slow)
        assert slow.known == world.server
        assert slow.subscription.synced.is_set()

    play(scene)


def test_a_subscriber_without_room_delays_no_test_of_a_suspension() -> None:
    async def scene(world: World) -> None:
        world.fill(50)
        stuck, held = world.subscribe(capacity=5), world.subscribe()
        stuck.holds = True
        await watching(world)
        stuck.settle()
        await world.rest(2)  # the list of the one is under way, and waits
        held.suspension = suspended_until(world, 10)
        for number in range(3):
            held.subscription.mark_dirty(f"default/c{number:03}", held.suspension)
        await world.rest(15)
        assert held.spilled == 1

    play(scene)


def test_a_subscriber_that_closes_while_its_list_waits_frees_the_list() -> None:
    async def scene(world: World) -> None:
        world.fill(50)
        world.subscribe()
        await watching(world)
        stuck = world.subscribe(capacity=5)
        stuck.holds = True
        await world.until(lambda: len(stuck.told) == 5)
        stuck.subscription.close()
        late = world.subscribe()
        async with asyncio.timeout(20):
            await late.subscription.synced.wait()

    play(scene)


def test_nothing_is_read_again_while_no_watch_is_open() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        await watching(world)

        async def forbid(asked: Asked) -> Reply | None:
            return refusal(403) if asked.verb == "watch" else None

        world.client.interfere = forbid
        world.client.watches[-1].is_cut = True
        await world.rest(1)
        one.subscription.mark_dirty("default/c001")
        await world.rest(100)
        assert world.client.count("get") == 0
        assert isinstance(world.api, ModelApi)

    play(scene)


def test_a_rest_that_ends_while_it_looks_is_not_slept_through() -> None:
    """Timers of a loop are early by up to a millisecond, so the rest may end between two looks at the clock."""
    looked: list[int] = []
    moments = count(0, 10)

    class Looking(Rereader):
        def rest_until(self, moment_ns: int) -> None:
            self._rest_until_ns = moment_ns

        def _is_due(self, now_ns: int) -> bool:
            looked.append(now_ns)
            return super()._is_due(now_ns)

    async def scene() -> None:
        dispatcher = Dispatcher(WatchTarget("", "v1", "configmaps"), random=lambda: 0.0)
        client = TargetClient(dispatcher.target, ModelClient(ModelApi()))
        dispatcher.reflector.is_watching = True
        rereader = Looking(dispatcher, client, clock=lambda: next(moments), random=lambda: 0.0)
        rereader.rest_until(5)
        running = asyncio.create_task(rereader.run())
        await asyncio.wait((running,), timeout=0.1)
        running.cancel()

    asyncio.run(scene())
    assert len(looked) > 1
    assert looked[0] < 5 < looked[1]
