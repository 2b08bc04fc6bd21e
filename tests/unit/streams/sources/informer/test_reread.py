"""Reading again: whoever came late, asked for it, or had no room is told what it has to know, and only that."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Change, Departure
from operators.model.outcome import Hold
from streams.cluster.errors import TooLargeAnswerError, UnreachableError
from streams.sources.informer.collection import Collection
from streams.sources.informer.departures import ASKED_AT_ONCE
from streams.sources.informer.feed import Feed
from streams.sources.informer.notice import Watched
from streams.sources.informer.reread import Rereader
from tests.kit.model_api import ModelApi
from tests.kit.model_client import Asked, ModelClient, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import SELECTED, Subscriber, World, play


async def watching(world: World) -> None:
    await world.until(lambda: world.client.open_watches == 1)
    await world.rest(0.1)


async def drain(world: World, one: Subscriber, *, every_seconds: float = 0.01) -> None:
    """Settle what is held, one event after another, until nothing is left to be told."""
    while one.room.items or one.subscription.dirty_count:
        await world.rest(every_seconds)
        if one.room.items:
            one.settle()


# --- late subscribers


def test_a_late_subscriber_gets_a_list_of_its_own_and_disturbs_nobody() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        first = world.subscribe()
        await watching(world)
        late = world.subscribe()
        assert not late.subscription.synced.is_set()
        await late.subscription.synced.wait()
        assert late.known == world.server
        assert {notice.change for notice in late.told} == {Change.ADDED}
        assert all(notice.initial for notice in late.told)
        assert len(first.told) == 25
        world.api.put("new")
        await world.in_step()
        assert first.told[-1] is late.told[-1]

    world = play(scene)
    assert world.client.count("watch") == 1
    lists = [one.query for one in world.client.asked if one.verb == "list"]
    assert lists[3]["resourceVersionMatch"] == "NotOlderThan"
    assert "resourceVersion" not in lists[4]


def test_who_comes_while_the_first_list_is_read_is_late() -> None:
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


def test_what_changes_while_a_late_list_is_read_is_told_in_order() -> None:
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
        for notice in late.told:
            assert int(notice.version) >= newest.get(notice.name, 0)
            newest[notice.name] = int(notice.version)
        assert late.subscription.book.duplicates > 0
        assert first.known == late.known

    play(scene)


def test_a_list_that_overtakes_the_watch_tells_everybody_and_the_line_is_the_duplicate() -> None:
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
        duplicates = first.subscription.book.duplicates
        world.client.watches[-1].is_silent = False
        await world.in_step()
        assert first.subscription.book.duplicates == duplicates + 2
        assert len(first.told) == 8

    play(scene)


async def overtaken(world: World) -> None:
    """Let a GET tell of a state that the watch has not brought yet."""
    world.client.watches[-1].is_silent = True
    world.api.put("c001")
    world.subscribers[0].subscription.mark_dirty("default/c001")
    await world.in_step()


def test_a_late_list_is_as_new_as_all_that_was_told() -> None:
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


def test_what_the_watch_told_a_late_subscriber_is_not_read_again() -> None:
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
        assert late.subscription.book.duplicates > 0
        assert late.subscription.dirty_count == 0
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


def test_a_page_that_fails_is_asked_again_and_no_other() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        world.subscribe()
        await watching(world)
        answers: list[Reply | Exception | None] = [
            refusal(500),
            UnreachableError("reset"),
            None,
            TooLargeAnswerError("64 MiB"),
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


def test_a_resync_tells_everything_again_to_those_who_asked() -> None:
    async def scene(world: World) -> None:
        world.fill(15)
        quiet = world.subscribe()
        often = world.subscribe(resync_seconds=60.0)
        seldom = world.subscribe(resync_seconds=120.0)
        await watching(world)
        await world.rest(200)
        assert len(quiet.told) == 15
        assert [notice.change for notice in often.told].count(Change.RESYNC) == 45
        assert [notice.change for notice in seldom.told].count(Change.RESYNC) == 15

    world = play(scene)
    assert (
        world.client.count("list") == 2 + 3 * 2
    )  # the second of the one is the first of the other


def test_a_resync_repairs_what_the_watch_kept_to_itself() -> None:
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


def test_what_found_no_room_is_told_when_there_is_some() -> None:
    async def scene(world: World) -> None:
        world.fill(200)
        one = world.subscribe(capacity=5)
        one.holds = True
        await watching(world)
        assert (len(one.told), one.subscription.dirty_count) == (5, 195)
        assert one.subscription.synced.is_set()
        await world.rest(10)
        assert len(one.told) == 5
        await drain(world, one)
        assert one.known == world.server

    world = play(scene)
    assert world.client.count("get") <= 10


def test_the_watch_is_read_on_while_there_is_no_room_and_only_the_newest_state_is_told() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe(capacity=1)
        one.holds = True
        await watching(world)
        for _ in range(5):
            world.api.put("c002")
        world.api.delete("c001")
        await world.until(lambda: one.subscription.book.lines == 6)
        await drain(world, one)
        assert one.known == world.server
        assert one.changes == [
            (Change.ADDED, "c000"),
            (Change.DELETED, "c001"),
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
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert (world.client.count("get"), world.client.count("list")) == (10, 5)
        for number in range(11):
            one.subscription.mark_dirty(f"default/c{number:03}")
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert (world.client.count("get"), world.client.count("list")) == (10, 7)
        assert len(one.told) == 50 + 21

    play(scene)


def test_one_get_serves_all_who_marked_the_object() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        both = world.subscribe(), world.subscribe()
        await watching(world)
        for one in both:
            one.subscription.mark_dirty("default/c001")
        await world.until(lambda: not any(one.subscription.dirty_count for one in both))
        assert [len(one.told) for one in both] == [4, 4]

    world = play(scene)
    assert world.client.count("get") == 1


def test_news_from_the_watch_clears_a_mark() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        one.room.capacity = 0  # nothing is read again
        await watching(world)
        one.subscription.mark_dirty("default/c001")
        world.api.put("c001")
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert one.changes[-1] == (Change.MODIFIED, "c001")

    world = play(scene)
    assert world.client.count("get") == 0


def test_a_get_that_is_newer_than_the_watch_is_told_to_all() -> None:
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
            (Change.DELETED, "c002"),
            (Change.ADDED, "c002"),
        ]
        world.client.watches[-1].is_silent = False
        await world.rest(1)
        assert len(other.told) == 6
        assert one.subscription.dirty_count == 0

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
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert one.told[-1].departure is Departure.LEFT_SELECTOR

    play(scene)


def test_an_object_that_is_gone_before_the_watch_says_so_is_left_to_the_watch() -> None:
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
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert one.told[-1].change is Change.DELETED
        assert one.told[-1].raw

    play(scene)


def test_who_may_list_but_not_get_lists() -> None:
    async def scene(world: World) -> None:
        world.fill(3)
        one = world.subscribe()
        await watching(world)

        async def forbid(asked: Asked) -> Reply | None:
            return refusal(403) if asked.verb == "get" else None

        world.client.interfere = forbid
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_count == 0)
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert (world.client.count("get"), world.client.count("list")) == (1, 3)

        world.client.interfere = nothing  # the right is granted
        await world.rest(300)
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: one.subscription.dirty_count == 0)

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
        assert one.subscription.dirty_count == 2

    world = play(scene)
    assert world.client.count("get") <= 12


# --- departures that found no room


def test_a_departure_that_found_no_room_is_told_without_asking() -> None:
    async def scene(world: World) -> None:
        world.fill(300)
        one = world.subscribe()
        await watching(world)
        one.holds = True
        one.room.capacity = 0
        for name in list(world.api.objects):
            world.api.delete(name)
        await world.until(lambda: one.subscription.dirty_count == 300)
        one.room.capacity = 1000
        one.subscription.poke()
        await world.in_step()
        assert one.subscription.book.synthetic_deletes == 300

    world = play(scene)
    assert (world.client.count("get"), world.client.count("list")) == (0, 30)


def test_a_departure_that_matters_to_nobody_is_forgotten() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(matters="default/a".__eq__)
        one.room.capacity = 0
        await watching(world)
        one.subscription.mark_dirty("default/a")
        one.subscription.mark_dirty("default/b")
        one.subscription.mark_dirty("/")
        assert one.subscription.dirty_count == 1

    play(scene)


def test_with_a_selector_one_get_tells_how_it_departed() -> None:
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
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert {notice.name: notice.departure for notice in one.told} == {
            "left": Departure.LEFT_SELECTOR,
            "gone": Departure.DELETED,
            "still": Departure.LEFT_SELECTOR,
            "remade": Departure.DELETED,
        }
        assert {notice.uid for notice in one.told} == {"", "uid-0", "uid-2"}

    play(scene)


def test_outside_of_the_namespace_that_is_watched_one_get_tells_too() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(Watched("", "v1", "configmaps", namespace="other"))
        await watching(world)
        world.client.watches[-1].is_silent = True
        uid = world.api.put("elsewhere").uid
        one.subscription.mark_dirty("default/elsewhere", uid=uid)
        one.subscription.mark_dirty("other/gone", uid="uid-0")
        await world.until(lambda: one.subscription.dirty_count == 0)
        told = {notice.name: notice.departure for notice in one.told if notice.uid}
        assert told == {"elsewhere": Departure.LEFT_SELECTOR, "gone": Departure.DELETED}

    world = play(scene)
    assert [one.path for one in world.client.asked if one.verb == "get"] == [
        "/api/v1/namespaces/default/configmaps/elsewhere"
    ]


def test_only_so_many_are_asked_for_at_once_whoever_fails_again() -> None:
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
        assert most == ASKED_AT_ONCE
        assert {notice.change for notice in one.told} == {Change.DELETED}

    play(scene)


def test_questions_without_an_answer_cost_one_wait_and_hold_up_nothing_else() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe(SELECTED)
        await watching(world)
        since = world.loop.time()

        async def fail(asked: Asked) -> Reply | None:
            return refusal(500) if asked.name.startswith("c0") else None

        world.client.interfere = fail
        for number in range(ASKED_AT_ONCE):
            one.subscription.mark_dirty(f"default/c{number:03}", uid="uid-0")
        one.subscription.mark_dirty("default/z", uid="uid-0")
        await world.until(lambda: one.changes == [(Change.DELETED, "z")])
        assert world.loop.time() - since < 2
        late = world.subscribe(SELECTED)
        async with asyncio.timeout(5):
            await late.subscription.synced.wait()
        world.client.interfere = nothing
        await world.until(lambda: one.subscription.dirty_count == 0)

    play(scene)


def test_after_a_question_without_an_answer_nothing_is_asked_for_a_while() -> None:
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
        await world.until(lambda: one.subscription.dirty_count == 1)
        (first, then), (second, later) = asked_at[:2]
        assert (first, second) == ("gone", "a")
        assert later - then >= 0.8

    play(scene)


def test_an_object_that_gets_no_answer_holds_up_no_other() -> None:
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


def test_who_asks_too_much_reads_again_within_ten_minutes() -> None:
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
        await world.until(lambda: one.subscription.dirty_count == 0)
        assert 600 <= world.loop.time() - since < 601

    play(scene)


def test_an_object_that_departed_while_nobody_watched_is_told_without_asking() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await one.subscription.synced.wait()
        one.subscription.mark_dirty("default/x", uid="uid-0")
        await world.until(lambda: one.subscription.dirty_count == 0)
        (notice,) = one.told
        assert (notice.change, notice.key) == (Change.DELETED, "default/x")
        assert notice.final_state_unknown
        assert one.subscription.book.synthetic_deletes == 1

    play(scene)


# --- holds


def hold_until(world: World, seconds: float) -> Hold:
    at_ns = world.loop.clock() + int(seconds * NANOSECONDS_PER_SECOND)
    return Hold("quota", detail="exceeded", try_at_ns=at_ns)


def test_one_of_all_who_wait_for_a_hold_tries_every_30_seconds() -> None:
    async def scene(world: World) -> None:
        world.fill(20)
        both = world.subscribe(), world.subscribe()
        await watching(world)
        hold = hold_until(world, 30)
        for one in both:
            one.hold = hold
            for number in range(20):
                one.subscription.mark_dirty(f"default/c{number:03}", hold)

        tries = list[int]()
        for _ in range(11):
            await world.rest(10)
            tries.append(sum(one.spilled for one in both))
        assert tries == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
        assert sum(one.subscription.dirty_count for one in both) == 40
        assert world.client.count("get") == 3

        hold.open = False
        for one in both:
            one.subscription.poke()
        await world.until(lambda: not any(one.subscription.dirty_count for one in both))
        assert [len(one.told) for one in both] == [40, 40]

    play(scene)


# --- one subscriber does not hold up another


def test_a_subscriber_without_room_holds_up_no_late_one() -> None:
    async def scene(world: World) -> None:
        world.fill(200)
        stuck = world.subscribe(capacity=5)
        stuck.holds = True
        await watching(world)
        assert stuck.subscription.dirty_count == 195
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


def test_two_late_subscribers_of_whom_one_has_no_room() -> None:
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


def test_a_subscriber_without_room_holds_up_nobodys_try() -> None:
    async def scene(world: World) -> None:
        world.fill(50)
        stuck, held = world.subscribe(capacity=5), world.subscribe()
        stuck.holds = True
        await watching(world)
        stuck.settle()
        await world.rest(2)  # the list of the one is under way, and waits
        held.hold = hold_until(world, 10)
        for number in range(3):
            held.subscription.mark_dirty(f"default/c{number:03}", held.hold)
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
        feed = Feed(Watched("", "v1", "configmaps"), random=lambda: 0.0)
        collection = Collection(feed.watched, ModelClient(ModelApi()))
        feed.reflector.is_watching = True
        rereader = Looking(feed, collection, clock=lambda: next(moments), random=lambda: 0.0)
        rereader.rest_until(5)
        running = asyncio.create_task(rereader.run())
        await asyncio.wait((running,), timeout=0.1)
        running.cancel()

    asyncio.run(scene())
    assert len(looked) > 1
    assert looked[0] < 5 < looked[1]
