"""Deleted, or only out of the selector: what is told, when, and in which order."""

from __future__ import annotations

import asyncio

from operators.model.event import Change, Departure
from streams.sources.informer.departures import ASKED_AT_ONCE
from streams.sources.informer.feed import DOUBTS_MAXIMUM_BYTES, Feed
from streams.sources.informer.notice import Notice, Origin
from streams.sources.informer.steps import Heard
from tests.kit.model_client import Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import SELECTED, Subscriber, World, play

IN, OUT = {"in": "yes"}, {"in": "no"}


def departures(one: Subscriber) -> list[tuple[str, Departure]]:
    return [
        (notice.name, notice.departure) for notice in one.told if notice.change is Change.DELETED
    ]


async def begin(world: World, *names: str) -> Subscriber:
    for name in names:
        world.api.put(name, **IN)
    one = world.subscribe(SELECTED)
    await world.until(lambda: world.client.open_watches == 1)
    return one


def test_one_get_tells_a_deletion_from_a_departure() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b", "c")
        world.api.put("a", **OUT)
        world.api.delete("b")
        world.api.delete("c")
        world.api.put("c", **OUT)  # another uid
        await world.until(lambda: len(departures(one)) == 3)
        assert departures(one) == [
            ("a", Departure.LEFT_SELECTOR),
            ("b", Departure.DELETED),
            ("c", Departure.DELETED),
        ]
        assert all(notice.raw for notice in one.told)
        assert (one.subscription.book.lines, one.subscription.book.gets) == (3, 0)

    world = play(scene)
    assert world.client.count("get") == 3


def test_what_was_terminating_was_deleted_and_nobody_is_asked() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a")
        world.api.terminate("a")
        world.api.delete("a")
        await world.until(lambda: departures(one) == [("a", Departure.DELETED)])

    world = play(scene)
    assert world.client.count("get") == 0


def test_what_a_relist_lacks_is_asked_about_too() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b")
        world.client.watches[-1].is_silent = True
        world.api.put("a", **OUT)
        world.api.delete("b")
        world.api.forget()
        world.client.watches[-1].is_cut = True
        await world.until(lambda: len(departures(one)) == 2)
        assert sorted(departures(one)) == [
            ("a", Departure.LEFT_SELECTOR),
            ("b", Departure.DELETED),
        ]
        assert one.subscription.book.synthetic_deletes == 2

    play(scene)


def test_news_of_an_object_in_doubt_settles_the_doubt_and_comes_after_it() -> None:
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
            (Change.DELETED, "a"),
            (Change.ADDED, "a"),
            (Change.DELETED, "b"),
            (Change.ADDED, "b"),
        ]
        assert departures(one) == [("a", Departure.LEFT_SELECTOR), ("b", Departure.DELETED)]
        answered.set()
        await world.rest(1)
        assert len(one.told) == 6

    play(scene)


def test_a_question_that_fails_is_asked_again_and_one_that_is_forbidden_is_a_deletion() -> None:
    async def scene(world: World) -> None:
        one = await begin(world, "a", "b")
        answers = [refusal(500), Reply(200, b"no object"), None, refusal(403)]

        async def fail(asked: Asked) -> Reply | None:
            return answers.pop(0) if asked.verb == "get" else None

        world.client.interfere = fail
        world.api.put("a", **OUT)
        world.api.put("b", **OUT)
        await world.until(lambda: len(departures(one)) == 2)
        assert departures(one) == [("a", Departure.LEFT_SELECTOR), ("b", Departure.DELETED)]

    play(scene)


def test_what_gets_no_answer_holds_up_nothing_else() -> None:
    async def scene(world: World) -> None:
        silent = [f"s{number}" for number in range(ASKED_AT_ONCE)]
        one = await begin(world, *silent, "z")

        async def fail(asked: Asked) -> Reply | None:
            return refusal(500) if asked.name in silent else None

        world.client.interfere = fail
        for name in (*silent, "z"):
            world.api.put(name, **OUT)
        await world.until(lambda: departures(one) == [("z", Departure.LEFT_SELECTOR)])
        world.client.interfere = nothing
        await world.until(lambda: len(departures(one)) == ASKED_AT_ONCE + 1)

    play(scene)


def test_last_states_in_doubt_are_kept_up_to_a_bound() -> None:
    async def scene(world: World) -> None:
        feed = Feed(SELECTED, random=lambda: 0.0)
        half = b"x" * (DOUBTS_MAXIMUM_BYTES // 2)
        notices = [
            Notice(Change.DELETED, "n", name, "u", "7", half, is_doubtful=True) for name in "abc"
        ]
        feed.tell(Heard(notices), Origin.LINE)
        assert [len(notice.raw) for notice, _ in feed.doubts.values()] == [len(half), len(half), 0]
        feed.settle("n/a", alive_uid="")
        feed.tell(
            Heard([Notice(Change.DELETED, "n", "d", "u", "7", half, is_doubtful=True)]), Origin.LINE
        )
        assert len(feed.doubts["n/d"][0].raw) == len(half)
        del world

    play(scene)
