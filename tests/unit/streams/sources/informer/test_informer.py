"""One informer over a server that misbehaves: whoever believes it ends up knowing what the server holds."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from operators.model.event import Change, Kind
from streams.cluster.errors import (
    CredentialsRefusedError,
    DiscoveryError,
    IdleTimeoutError,
    TooLargeAnswerError,
    UnreachableError,
)
from streams.sources.informer.notice import Notice, Watched
from tests.kit.model_api import line, status
from tests.kit.model_client import CONFIG_MAP, Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import Subscriber, World, play


def test_everything_there_is_then_everything_that_changes() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        one = world.subscribe()
        assert one.subscription.kind is None
        await one.subscription.synced.wait()
        assert one.known == world.server
        assert all(notice.initial for notice in one.told)
        assert one.subscription.kind == CONFIG_MAP
        assert (one.subscription.known, len(set(one.subscription.keys()))) == (25, 25)

        world.api.put("c001")
        world.api.delete("c002")
        world.api.put("new")
        await world.in_step()
        assert one.changes[25:] == [
            (Change.MODIFIED, "c001"),
            (Change.DELETED, "c002"),
            (Change.ADDED, "new"),
        ]
        assert not one.subscription.knows("default/c002")
        assert one.subscription.knows("default/new")

    world = play(scene)
    assert [one.verb for one in world.client.asked] == ["list", "list", "list", "watch"]


def test_two_who_watch_the_same_share_one_list_and_one_watch() -> None:
    async def scene(world: World) -> None:
        world.fill(5)
        one, other = world.subscribe(), world.subscribe()
        await one.subscription.synced.wait()
        await other.subscription.synced.wait()
        await world.until(lambda: world.client.open_watches == 1)
        world.api.put("new")
        await world.in_step()
        assert one.changes == other.changes
        assert len(world.manager.informers) == 1

    world = play(scene)
    assert (world.client.count("list"), world.client.count("watch")) == (1, 1)


def test_the_last_subscriber_stops_the_watch_and_nobody_is_told_after_closing() -> None:
    async def scene(world: World) -> None:
        one, other = world.subscribe(), world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        one.subscription.close()
        one.subscription.close()
        world.subscribers.remove(one)
        world.api.put("a")
        await world.in_step()
        assert (one.told, one.subscription.dirty_count) == ([], 0)
        one.subscription.mark_dirty("default/a")
        assert (one.told, one.subscription.dirty_count) == ([], 0)
        assert world.client.open_watches == 1

        other.subscription.close()
        await world.until(lambda: world.client.open_watches == 0)
        assert world.manager.informers == ()

        again = world.subscribe()
        world.subscribers.remove(other)
        await again.subscription.synced.wait()
        assert again.known == world.server

    play(scene)


def test_a_handler_that_raises_harms_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(notice: Notice) -> None:
        raise ValueError(notice.name)

    async def scene(world: World) -> None:
        world.fill(3)
        first = world.subscribe()
        bad = world.manager.subscribe(first.subscription.watched, broken, room=first.room)
        second = world.subscribe()
        await world.in_step()
        world.api.put("new")
        await world.in_step()
        assert bad.handler_errors == 4
        assert bad.book.balance == 0
        assert first.known == second.known == world.server

    with caplog.at_level(logging.CRITICAL + 1):
        play(scene)


def test_a_subscriber_may_close_itself_and_others_while_it_is_told() -> None:
    async def scene(world: World) -> None:
        victim: list[Subscriber] = []

        def close_both(_: Notice) -> None:
            closer.close()
            victim[0].subscription.close()

        first = world.subscribe()
        closer = world.manager.subscribe(first.subscription.watched, close_both, room=first.room)
        victim.append(world.subscribe())
        world.fill(3)
        await world.subscribers[0].subscription.synced.wait()
        assert closer.book.received == 1
        assert victim[0].told == []
        assert world.subscribers[0].known == world.server

    play(scene)


def test_whatever_cuts_the_watch_nothing_is_lost_and_nothing_told_twice() -> None:
    async def scene(world: World) -> None:
        world.fill(5)
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        for number in range(6):
            world.api.put(f"c{number % 5:03}")
            await world.rest(0.05)
            watch = world.client.watches[-1]
            watch.is_silent = True
            world.api.put("c000")
            watch.said.append(b'{"type":"MODIFIED","object":{"meta')  # half a line
            await world.rest(0.05)
            watch.is_cut = True
            await world.in_step()
        told = [(notice.uid, notice.version, notice.change) for notice in one.told]
        assert len(told) == len(set(told))

    world = play(scene)
    assert world.client.count("list") == 1


def test_a_forgotten_history_is_listed_again_and_only_differences_are_told() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        world.client.watches[-1].is_silent = True
        world.api.put("c001")
        world.api.delete("c002")
        world.api.delete("c003")
        world.api.put("c003")
        world.api.elsewhere()
        world.api.forget()
        world.client.watches[-1].is_cut = True
        await world.in_step()
        assert sorted(one.changes[25:]) == [
            (Change.ADDED, "c003"),
            (Change.DELETED, "c002"),
            (Change.DELETED, "c003"),
            (Change.MODIFIED, "c001"),
        ]
        assert one.subscription.book.synthetic_deletes == 2
        assert one.subscription.book.duplicates == 22
        assert one.subscription.statistics.relists["Expired"] >= 1

    play(scene)


def test_lines_that_are_torn_blank_or_too_long_do_not_end_the_stream() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        said = world.client.watches[-1].said
        said += [b"\n\r\n torn\n", b"x" * (17 << 20), b"\n"]
        said.append(line("BOOKMARK", {"metadata": {"resourceVersion": "500"}}) + b"\n")
        world.api.version = 600
        world.api.put("a")
        await world.until(lambda: len(one.told) == 3)
        assert [(notice.name, len(notice.raw)) for notice in one.told[:2]] == [("", 5), ("", 1024)]
        book = one.subscription.book
        assert (book.lines, book.bookmarks, book.received) == (4, 1, 3)
        assert one.subscription.statistics.overlong_lines == 1
        assert world.client.open_watches == 1

    play(scene)


def test_an_error_in_the_stream_is_in_the_book_and_the_condition_and_closes_the_watch() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        error = line("ERROR", status(500, "InternalError", "etcd is away"))
        world.client.watches[-1].said.append(error + b"\nnever read\n")
        await world.until(lambda: one.subscription.condition is not None)
        condition = one.subscription.condition
        assert condition is not None
        assert (condition.reason, condition.message) == ("ServerError", "etcd is away")
        assert one.subscription.book.server_errors == 1
        world.api.put("a")
        await world.in_step()
        assert one.subscription.condition is None
        assert one.subscription.book.lines == 2

    play(scene)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreachableError("refused"), "Unreachable"),
        (CredentialsRefusedError("expired"), "Unauthorized"),
        (TooLargeAnswerError("too much"), "Unreadable"),
        (None, "Forbidden"),
    ],
)
def test_what_fails_at_first_is_a_condition_and_heals_by_itself(
    error: Exception | None, reason: str
) -> None:
    async def scene(world: World) -> None:
        healed = asyncio.Event()

        async def fail(_: Asked) -> Reply | None:
            if healed.is_set():
                return None
            if error is not None:
                raise error
            return refusal(403, "Forbidden")

        world.client.interfere = fail
        world.fill(3)
        one = world.subscribe()
        await world.rest(600)
        condition = one.subscription.condition
        assert condition is not None
        assert condition.reason == reason
        assert len(world.client.asked) < 30
        healed.set()
        await world.in_step()
        assert one.subscription.condition is None

    play(scene)


def test_an_idle_watch_is_opened_again_at_once() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)

        async def idle(_: Asked) -> Reply | None:
            world.client.interfere = nothing
            raise IdleTimeoutError("not a byte for 70 s")

        nothing = world.client.interfere
        world.client.interfere = idle
        world.client.watches[-1].is_cut = True
        world.api.put("a")
        await world.in_step()
        assert one.subscription.statistics.connects["idle"] == 1

    play(scene)


def test_a_missing_kind_is_met_within_10_seconds() -> None:
    async def scene(world: World) -> None:
        installed = asyncio.Event()

        async def discover(watched: Watched) -> Kind | None:
            return await world.client.discover(watched) if installed.is_set() else None

        world.manager = world.managed(discover)
        world.fill(3)
        one = world.subscribe()
        await world.rest(120)
        condition = one.subscription.condition
        assert condition is not None
        assert condition.message == "the server has no configmaps in v1"
        assert not one.subscription.synced.is_set()
        installed.set()
        async with asyncio.timeout(10):
            await one.subscription.synced.wait()
        assert one.known == world.server

    play(scene)


def test_who_may_not_ask_what_is_served_reads_so_in_the_condition() -> None:
    async def scene(world: World) -> None:
        async def discover(_: Watched) -> Kind | None:
            raise DiscoveryError("/api/v1: 403", status=403)

        world.manager = world.managed(discover)
        one = world.subscribe()
        await world.rest(1)
        assert one.subscription.condition is not None
        assert one.subscription.condition.reason == "Forbidden"

    play(scene)


def test_secrets_are_only_ever_read_as_metadata() -> None:
    async def scene(world: World) -> None:
        world.fill(20)
        secrets = Watched("", "v1", "secrets", label_selector="in=yes")
        one = world.subscribe(secrets)
        world.api.put("s", **{"in": "yes"})
        await world.until(lambda: world.client.open_watches == 1)
        world.api.put("s", **{"in": "no"})
        one.subscription.mark_dirty("default/c001")
        await world.until(lambda: world.client.count("get") > 0)

    world = play(scene)
    single = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    listed = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    assert {(one.verb, one.accept) for one in world.client.asked} == {
        ("list", listed),
        ("watch", single),
        ("get", single),
    }


def test_what_has_no_namespace_is_asked_for_without_one() -> None:
    async def scene(world: World) -> None:
        async def discover(_: Watched) -> Kind | None:
            return Kind("g", "v1", "widgets", "Widget", namespaced=False)

        world.manager = world.managed(discover)
        one = world.subscribe(Watched("g", "v1", "widgets", namespace="n"))
        await one.subscription.synced.wait()
        await world.until(lambda: world.client.open_watches == 1)

    world = play(scene)
    assert {one.path for one in world.client.asked} == {"/apis/g/v1/widgets"}


def test_a_defect_is_logged_and_kept_for_the_liveness_probe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(world: World) -> None:
        async def discover(_: Watched) -> Kind | None:
            raise ZeroDivisionError

        broken = world.managed(discover)
        broken.subscribe(Watched("", "v1", "pods"), print, room=world.subscribe().room)
        await world.until(lambda: bool(broken.failures))
        (failure,) = broken.failures
        assert isinstance(failure, BaseExceptionGroup)
        await broken.close()

    play(scene)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert vars(record)["task"] == "informer pods"
    assert record.exc_info
    assert isinstance(record.exc_info[1], BaseExceptionGroup)


def test_a_body_is_told_without_its_managed_fields() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        body = {
            "metadata": {
                "name": "a",
                "namespace": "n",
                "uid": "u",
                "resourceVersion": "500",
                "managedFields": [{"manager": "somebody", "operation": "Update"}],
            },
            "data": {"key": "value"},
        }
        world.client.watches[-1].said.append(line("ADDED", body) + b"\n")
        await world.until(lambda: bool(one.told))
        told = msgspec.json.decode(one.told[0].raw)
        assert told["metadata"]["managedFields"] == []
        assert told["data"] == {"key": "value"}

    play(scene)


def test_what_stands_in_the_way_is_logged_once_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(world: World) -> None:
        async def forbid(asked: Asked) -> Reply | None:
            return refusal(403) if asked.verb == "list" else None

        world.client.interfere = forbid
        one = world.subscribe()
        await world.until(lambda: world.client.count("list") > 3)
        world.client.interfere = nothing
        await one.subscription.synced.wait()
        await world.rest(30)

    with caplog.at_level(logging.INFO, "streams.sources.informer"):
        play(scene)
    told = [(one.levelname, one.message, vars(one).get("reason")) for one in caplog.records]
    assert told == [("WARNING", "cannot be read", "Forbidden"), ("INFO", "is read again", None)]
    assert {vars(one)["resource"] for one in caplog.records} == {"configmaps"}
