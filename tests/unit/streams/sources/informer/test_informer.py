"""One informer over a server that misbehaves: what it delivers ends up as what the server holds."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest

from operators.flow.capacity import Room
from operators.model.event import ApiResource, Change
from streams.cluster.errors import (
    CredentialsRefusedError,
    DiscoveryError,
    IdleTimeoutError,
    ResponseTooLargeError,
    UnreachableError,
)
from streams.sources.informer.store import ObjectChange
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import CONFIG_MAP, DELETED, is_initial, kind_of, name_of
from tests.kit.model_api import ModelApi, line, status
from tests.kit.model_client import BOOKMARK_SECONDS, CONFIG_MAPS, Asked, Reply, nothing, refusal
from tests.unit.streams.sources.informer.world import Subscriber, World, play


def test_everything_there_is_then_everything_that_changes() -> None:
    async def scene(world: World) -> None:
        world.fill(25)
        one = world.subscribe()
        await one.subscription.synced.wait()
        assert one.known == world.server
        assert all(is_initial(change) for change in one.told)
        assert {change.payload.resource for change in one.told} == {CONFIG_MAP}
        assert (one.subscription.known_objects, len(set(one.subscription.keys()))) == (25, 25)

        world.api.put("c001")
        world.api.delete("c002")
        world.api.put("new")
        await world.in_step()
        assert one.changes[25:] == [
            (Change.MODIFIED, "c001"),
            (DELETED, "c002"),
            (Change.ADDED, "new"),
        ]
        assert not one.subscription.knows("default/c002")
        assert one.subscription.knows("default/new")

    world = play(scene)
    assert [one.verb for one in world.client.asked] == ["list", "list", "list", "watch"]


def test_two_subscribers_of_one_target_share_one_list_and_one_watch() -> None:
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


def test_the_last_subscription_stops_the_watch_and_nothing_is_delivered_after_closing() -> None:
    async def scene(world: World) -> None:
        one, other = world.subscribe(), world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        one.subscription.close()
        one.subscription.close()
        world.subscribers.remove(one)
        world.api.put("a")
        await world.in_step()
        assert (one.told, one.subscription.dirty_objects) == ([], 0)
        one.subscription.mark_dirty("default/a")
        assert (one.told, one.subscription.dirty_objects) == ([], 0)
        assert world.client.open_watches == 1

        other.subscription.close()
        await world.until(lambda: world.client.open_watches == 0)
        assert world.manager.informers == ()

        again = world.subscribe()
        world.subscribers.remove(other)
        await again.subscription.synced.wait()
        assert again.known == world.server

    play(scene)


def test_a_handler_that_raises_does_not_affect_others(caplog: pytest.LogCaptureFixture) -> None:
    def broken(change: ObjectChange) -> None:
        raise ValueError(name_of(change))

    async def scene(world: World) -> None:
        world.fill(3)
        first = world.subscribe()
        bad = world.manager.subscribe(first.subscription.target, broken, room=first.room)
        second = world.subscribe()
        await world.in_step()
        world.api.put("new")
        await world.in_step()
        assert bad.handler_errors == 4
        assert bad.read_counts.balance == 0
        assert first.known == second.known == world.server

    with caplog.at_level(logging.CRITICAL + 1):
        play(scene)


def test_a_handler_may_close_its_own_subscription_and_others() -> None:
    async def scene(world: World) -> None:
        victim: list[Subscriber] = []

        def close_both(_: ObjectChange) -> None:
            closer.close()
            victim[0].subscription.close()

        first = world.subscribe()
        closer = world.manager.subscribe(first.subscription.target, close_both, room=first.room)
        victim.append(world.subscribe())
        world.fill(3)
        await world.subscribers[0].subscription.synced.wait()
        assert closer.read_counts.received == 1
        assert victim[0].told == []
        assert world.subscribers[0].known == world.server

    play(scene)


def test_whatever_cuts_the_watch_nothing_is_lost_and_nothing_delivered_twice() -> None:
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
        told = [
            (change.payload.uid, change.payload.version, kind_of(change)) for change in one.told
        ]
        assert len(told) == len(set(told))

    world = play(scene)
    assert world.client.count("list") == 1


def test_a_compacted_history_is_listed_again_and_only_differences_are_delivered() -> None:
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
            (DELETED, "c002"),
            (DELETED, "c003"),
            (Change.MODIFIED, "c001"),
        ]
        assert one.subscription.read_counts.synthetic_deletes == 2
        assert one.subscription.read_counts.duplicates == 22
        assert one.subscription.counters["relists"]["Expired"] >= 1

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
        assert [(name_of(change), len(change.raw)) for change in one.told[:2]] == [
            ("", 5),
            ("", 1024),
        ]
        book = one.subscription.read_counts
        assert (book.lines, book.bookmarks, book.received) == (4, 1, 3)
        assert world.client.open_watches == 1

    play(scene)


def test_an_error_in_the_stream_is_counted_is_the_condition_and_closes_the_watch() -> None:
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        error = line("ERROR", status(500, "InternalError", "etcd is away"))
        world.client.watches[-1].said.append(error + b"\nnever read\n")
        await world.until(lambda: one.subscription.condition is not None)
        condition = one.subscription.condition
        assert condition is not None
        assert (condition.reason, condition.message) == ("ServerError", "etcd is away")
        assert one.subscription.read_counts.server_errors == 1
        world.api.put("a")
        await world.in_step()
        assert one.subscription.condition is None
        assert one.subscription.read_counts.lines == 2

    play(scene)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreachableError("refused"), "Unreachable"),
        (CredentialsRefusedError("expired"), "Unauthorized"),
        (ResponseTooLargeError("too much"), "Unreadable"),
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
        assert one.subscription.counters["connects"]["idle"] == 1

    play(scene)


def test_a_watch_without_a_byte_is_opened_again_after_70_seconds_and_one_with_bookmarks_is_not() -> (
    None
):
    async def scene(world: World) -> None:
        one = world.subscribe()
        await world.until(lambda: world.client.open_watches == 1)
        await world.rest(250)
        assert world.client.count("watch") == 1
        assert one.subscription.read_counts.bookmarks == 4

        world.client.watches[-1].is_silent = True
        silent_since = world.loop.time() - 250 % BOOKMARK_SECONDS
        await world.until(lambda: world.client.count("watch") == 2)
        assert 70 <= world.loop.time() - silent_since < 71
        assert one.subscription.counters["connects"] == {"listed": 1, "idle": 1}

    play(scene)


# --- the loop is given back


class Batches:
    """A handler that counts how many changes it gets before the loop is given back."""

    def __init__(self, world: World) -> None:
        self.loop = world.loop
        self.sizes: list[int] = []
        self.count = 0

    def __call__(self, _: ObjectChange) -> None:
        if not self.count:
            self.loop.call_soon(self._close)
        self.count += 1

    def _close(self) -> None:
        self.sizes.append(self.count)
        self.count = 0


MANY = 10_000


def test_a_page_of_10000_objects_gives_the_loop_back_every_100() -> None:
    async def scene(world: World) -> None:
        world.api = ModelApi(page_objects=MANY)  # a server that ignores the limit
        world.client.api = world.api
        world.client.ignores_limit = True
        world.fill(MANY)
        first = Batches(world)
        room = Room(MANY, capacity_bytes=1 << 30)
        subscription = world.manager.subscribe(CONFIG_MAPS, first, room=room)
        await subscription.synced.wait()
        late = Batches(world)
        subscription = world.manager.subscribe(CONFIG_MAPS, late, room=room)
        await subscription.synced.wait()
        assert world.client.count("list") == 2
        for batches in (first, late):
            assert sum(batches.sizes) == MANY
            assert max(batches.sizes) <= 100

        world.client.watches[-1].is_silent = True
        world.api.objects.clear()
        world.api.elsewhere()
        world.api.forget()
        world.client.watches[-1].is_cut = True
        await world.until(lambda: sum(first.sizes) == 2 * MANY)
        assert max(first.sizes) <= 100

    play(scene)


def test_10000_lines_at_once_give_the_loop_back_every_100() -> None:
    async def scene(world: World) -> None:
        batches = Batches(world)
        room = Room(MANY, capacity_bytes=1 << 30)
        world.manager.subscribe(CONFIG_MAPS, batches, room=room)
        await world.until(lambda: world.client.open_watches == 1)
        stream = world.api.stream(world.api.version)
        world.fill(MANY)
        world.client.watches[-1].is_silent = True
        world.client.watches[-1].said.append(b"".join(one + b"\n" for one in stream.lines()))
        await world.until(lambda: sum(batches.sizes) == MANY)
        assert max(batches.sizes) <= 100

    play(scene)


def test_a_missing_kind_is_met_within_10_seconds() -> None:
    async def scene(world: World) -> None:
        installed = asyncio.Event()

        async def discover(target: WatchTarget) -> ApiResource | None:
            return await world.client.discover(target) if installed.is_set() else None

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


def test_forbidden_discovery_is_the_condition() -> None:
    async def scene(world: World) -> None:
        async def discover(_: WatchTarget) -> ApiResource | None:
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
        secrets = WatchTarget("", "v1", "secrets", label_selector="in=yes")
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


def test_cluster_scoped_objects_are_requested_without_a_namespace() -> None:
    async def scene(world: World) -> None:
        async def discover(_: WatchTarget) -> ApiResource | None:
            return ApiResource("g", "v1", "widgets", "Widget", namespaced=False)

        world.manager = world.managed(discover)
        one = world.subscribe(WatchTarget("g", "v1", "widgets", namespace="n"))
        await one.subscription.synced.wait()
        await world.until(lambda: world.client.open_watches == 1)

    world = play(scene)
    assert {one.path for one in world.client.asked} == {"/apis/g/v1/widgets"}


def test_a_defect_is_logged_and_kept_for_the_liveness_probe(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(world: World) -> None:
        async def discover(_: WatchTarget) -> ApiResource | None:
            raise ZeroDivisionError

        broken = world.managed(discover)
        broken.subscribe(WatchTarget("", "v1", "pods"), print, room=world.subscribe().room)
        await world.until(lambda: bool(broken.failures))
        (failure,) = broken.failures
        assert isinstance(failure, BaseExceptionGroup)
        await broken.close()

    play(scene)
    (record,) = (one for one in caplog.records if one.levelno == logging.ERROR)
    assert vars(record)["task"] == "informer pods"
    assert record.exc_info
    assert isinstance(record.exc_info[1], BaseExceptionGroup)


def test_a_body_is_delivered_without_its_managed_fields() -> None:
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


def test_a_failure_of_the_watch_is_logged_once_and_so_is_its_recovery(
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
    assert told == [("WARNING", "watch failed", "Forbidden"), ("INFO", "watch recovered", None)]
    assert {vars(one)["resource"] for one in caplog.records} == {"configmaps"}
