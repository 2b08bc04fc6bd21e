"""What every source promises to a pipeline, whatever it reads."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import fields

import msgspec
import pytest
from reactivex import Observable

from operators.flow.delivery import Admission
from operators.model.event import ObjectState, RawEvent
from operators.model.outcome import SPILLED
from streams.sources.source import RereadableSource, ResubscribedError, Source, SourceStatus
from tests.contract.sources.consumer import STORED, Consumer
from tests.contract.sources.settings import NOW_NS, SOURCE_NAME, Kind, Setting, held_by

AMBIENT: ContextVar[str] = ContextVar("AMBIENT", default="")


def without_raw(event: RawEvent) -> RawEvent:
    return msgspec.structs.replace(event, raw=b"")


# start


def test_start_emits_an_admission_for_everything_there_is(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        consumer = Consumer(kind, setting, holds=True)
        await consumer.synced()
        assert len(consumer.admissions) == 3
        for admission, name in zip(consumer.admissions, "abc", strict=True):
            assert isinstance(admission, Admission)
            event = admission.event
            assert without_raw(event) == setting.expected(name, initial=True)
            assert (event.source, event.received_at_ns) == (SOURCE_NAME, NOW_NS)
            assert event.raw
            assert msgspec.json.decode(msgspec.json.encode(event), type=RawEvent) == event
            assert callable(admission.on_settled)
        consumer.check()

    kind.play(scene)


def test_start_emits_what_happens_later_once(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        consumer = await Consumer(kind, setting).synced()
        assert consumer.admissions == []
        setting.put("a")
        (event,) = await consumer.until(1)
        assert without_raw(event) == setting.expected("a", initial=False)
        await setting.rest(120)
        await consumer.until(1)
        consumer.check()

    kind.play(scene)


def test_start_keeps_the_order_of_one_object(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        consumer = await Consumer(kind, setting).synced()
        for round_ in range(20):
            for name in "ab":
                setting.put(name)
            if round_ % 3 == 0:
                await setting.rest(0.02)
        await setting.quiet()
        assert consumer.events
        for key in {event.key for event in consumer.events}:
            versions = [
                int(event.payload.version)
                for event in consumer.events
                if event.key == key and isinstance(event.payload, ObjectState)
            ]
            assert versions == sorted(set(versions))
        assert consumer.believed == setting.server

    kind.play(scene)


def test_start_requests_nothing_before_it_is_subscribed_to(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = Consumer(kind, setting)
        assert isinstance(consumer.source.events, Observable)
        await setting.rest(5)
        assert (setting.requests, consumer.admissions) == (0, [])

    kind.play(scene)


def test_start_is_synced_once_everything_there_was_is_emitted(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        setting.suspend_start()
        consumer = Consumer(kind, setting)
        waiting = asyncio.create_task(consumer.source.synced())
        consumer.start()
        await setting.rest(5)
        assert not waiting.done()
        setting.recover()
        await waiting
        assert len(consumer.admissions) == 3
        await consumer.source.synced()

    kind.play(scene)


# stop


@pytest.mark.parametrize("disposes", [False, True])
def test_stop_emits_nothing_afterwards(kind: Kind, disposes: bool) -> None:  # noqa: FBT001
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(kind, setting).synced()
        await consumer.until(1)
        if disposes:
            assert consumer.running is not None
            consumer.running.dispose()
        else:
            consumer.source.stop_intake()
        setting.put("a")
        setting.put("b")
        await setting.rest(120)
        await consumer.until(1)
        consumer.check()

    kind.play(scene)


@pytest.mark.parametrize("outcome", [STORED, SPILLED])
def test_stop_lets_what_is_in_flight_settle(kind: Kind, outcome: object) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = await Consumer(kind, setting, holds=True).synced()
        await consumer.until(2)
        consumer.source.stop_intake()
        assert outcome in {STORED, SPILLED}
        consumer.settle(SPILLED if outcome is SPILLED else STORED)
        consumer.settle()
        await setting.rest(120)
        await consumer.until(2)
        assert consumer.source.status().dirty_objects == 0
        assert consumer.errors == []

    kind.play(scene)


def test_stop_in_the_midst_of_what_there_is_ends_it_there(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abcdef":
            setting.put(name)
        consumer = Consumer(kind, setting)
        consumer.start()
        await setting.until(lambda: bool(consumer.admissions))
        consumer.source.stop_intake()
        emitted = len(consumer.admissions)
        await setting.rest(120)
        await consumer.until(emitted)

    kind.play(scene)


def test_stop_twice_and_before_the_start_is_no_error(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        never = Consumer(kind, setting)
        never.source.stop_intake()
        never.source.stop_intake()
        consumer = await Consumer(kind, setting).synced()
        consumer.source.stop_intake()
        consumer.source.stop_intake()
        assert consumer.running is not None
        consumer.running.dispose()
        assert consumer.errors == never.errors == []

    kind.play(scene)


# resubscribe


def test_resubscribe_by_a_new_instance_sees_everything_again(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        first = await Consumer(kind, setting).synced()
        first.source.stop_intake()
        setting.put("c")
        second = await Consumer(kind, setting).synced()
        assert len(first.admissions) == 2
        assert [event.key for event in second.events] == [
            setting.expected(name, initial=True).key for name in "abc"
        ]
        second.check()

    kind.play(scene)


def test_resubscribe_to_a_source_that_runs_is_refused_and_changes_nothing(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(kind, setting).synced()
        others: list[Admission] = []
        errors: list[Exception] = []
        consumer.source.events.subscribe(others.append, on_error=errors.append)
        assert [type(error) for error in errors] == [ResubscribedError]
        assert SOURCE_NAME in str(errors[0])
        setting.put("b")
        await consumer.until(2)
        assert others == []
        consumer.check()

    kind.play(scene)


def test_resubscribe_to_a_source_that_was_stopped_is_refused(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(kind, setting).synced()
        never = Consumer(kind, setting)
        for one in (consumer, never):
            one.source.stop_intake()
            one.start()
            assert [type(error) for error in one.errors] == [ResubscribedError]
        setting.put("b")
        await setting.rest(5)
        assert (len(consumer.admissions), len(never.admissions)) == (1, 0)

    kind.play(scene)


# isolation


def test_isolation_of_a_source_from_a_pipeline_that_raises(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        broken, other = Consumer(kind, setting), Consumer(kind, setting)
        broken.raises = True
        await broken.synced()
        await other.synced()
        assert len(other.admissions) == len(broken.admissions) == 3
        assert broken.source.status().handler_errors == 3
        assert other.source.status().handler_errors == 0
        assert broken.source.status().up

        broken.raises = False
        setting.put("d")
        await broken.until(4)
        await other.until(4)
        assert broken.errors == []
        broken.check()
        other.check()

    kind.play(scene)


def test_isolation_of_one_source_from_the_stop_of_another(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        first, second = Consumer(kind, setting), Consumer(kind, setting)
        await first.synced()
        await second.synced()
        first.source.stop_intake()
        setting.put("b")
        await second.until(2)
        await first.until(1)
        assert second.source.status().up

    kind.play(scene)


def test_isolation_of_one_source_from_the_full_room_of_another(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        full = Consumer(kind, setting, capacity=1, holds=True)
        other = Consumer(kind, setting)
        await full.synced()
        await other.synced()
        for name in "abcde":
            setting.put(name)
        await other.until(5)
        assert len(full.held) == 1

    kind.play(scene)


# status


def test_status_before_the_start(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        status = Consumer(kind, setting).source.status()
        assert isinstance(status, SourceStatus)
        assert status == SourceStatus(kind.name, up=False, synced=False)
        assert {one.name for one in fields(status)} >= {"last_activity_ns", "resource_version"}

    kind.play(scene)


def test_status_while_it_syncs_and_once_it_runs(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        setting.suspend_start()
        consumer = Consumer(kind, setting).start()
        await setting.rest(1)
        syncing = consumer.source.status()
        assert (syncing.kind, syncing.synced, syncing.known_objects) == (kind.name, False, 0)
        assert (syncing.reason, syncing.message, syncing.resource_version) == ("", "", "")
        assert syncing.last_activity_ns == 0
        assert kind.balance(syncing) == 0

        setting.recover()
        await consumer.source.synced()
        await setting.quiet()
        running = consumer.source.status()
        assert (running.up, running.synced, running.reason, running.message) == (True, True, "", "")
        assert running.last_activity_ns > 0
        assert (running.dirty_objects, running.handler_errors) == (0, 0)
        assert running.counters["read"]["received"] == 3
        consumer.check()

    kind.play(scene)


def test_status_after_a_failure_has_its_reason_until_it_is_over(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(kind, setting).synced()
        setting.fail()
        await setting.until(lambda: not consumer.source.status().up)
        failed = consumer.source.status()
        assert failed.reason in setting.failure_reasons
        assert failed.message
        assert failed.synced, "what was emitted stays emitted"
        assert sum(failed.counters["failures"].values()) > 0
        consumer.check()

        setting.recover()
        setting.put("b")
        await setting.until(lambda: consumer.source.status().up)
        recovered = consumer.source.status()
        assert (recovered.reason, recovered.message) == ("", "")
        await setting.until(lambda: consumer.believed == setting.server)
        consumer.check()

    kind.play(scene)


def test_status_of_a_start_that_fails_is_not_synced(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        setting.fail()
        consumer = Consumer(kind, setting).start()
        await setting.until(lambda: not consumer.source.status().up)
        failed = consumer.source.status()
        assert failed.reason in setting.failure_reasons
        assert (failed.synced, failed.known_objects) == (False, 0)
        setting.recover()
        await consumer.source.synced()
        await consumer.until(1)

    kind.play(scene)


def test_status_after_the_stop_still_balances(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(kind, setting).synced()
        consumer.source.stop_intake()
        setting.put("b")
        await setting.rest(5)
        consumer.check()

    kind.play(scene)


# bounds


def test_bounds_of_what_is_held_do_not_grow_under_churn(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = await Consumer(kind, setting, holds=True, capacity=3).synced()
        sizes: list[int] = []
        for round_ in range(6):
            consumer.raises = round_ == 3  # an event that meets a defect is held by nothing either
            names = [f"round-{round_}-{number}" for number in range(30)]
            for name in names:
                setting.put(name)
            await setting.rest(0.5)
            status = consumer.source.status()
            assert status.known_objects <= len(setting.server)
            assert status.dirty_objects <= len(setting.server)
            for name in names:
                setting.remove(name)
            await settled(setting, consumer)
            assert consumer.source.status().dirty_objects == 0
            assert consumer.source.status().known_objects == len(setting.server) == 2
            sizes.append(held_by(consumer.source))
            consumer.check()
        assert sizes[1:] == sizes[1:2] * 5

    kind.play(scene)


async def settled(setting: Setting, consumer: Consumer) -> None:
    """Settle what is held, until nothing is left that has not been."""
    for _ in range(20):
        await setting.quiet()
        consumer.settle_all()
        await setting.quiet()
        if not consumer.held and not consumer.source.status().dirty_objects:
            return
    raise AssertionError("it never came to rest")


def test_bounds_of_what_is_held_after_the_stop(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for number in range(30):
            setting.put(f"c{number}")
        consumer = await Consumer(kind, setting, holds=True, capacity=3).synced()
        consumer.source.stop_intake()
        consumer.settle_all()
        assert consumer.source.status().dirty_objects == 0

    kind.play(scene)


# context


def test_context_of_the_sender_passes_through_the_admission(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = Consumer(kind, setting)
        await consumer.synced()
        setting.put("b")
        await consumer.until(2)
        for admission, name in zip(consumer.admissions, "ab", strict=True):
            assert admission.incoming == setting.incoming(name)

    kind.play(scene)


def test_context_variables_are_neither_inherited_nor_kept(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        found: list[str] = []
        inherited: list[str] = []
        tasks: list[asyncio.Task[None]] = []

        async def later() -> None:
            inherited.append(AMBIENT.get())

        def on_next(admission: Admission) -> None:
            found.append(AMBIENT.get())
            AMBIENT.set(admission.event.key or "")
            tasks.append(asyncio.create_task(later()))

        # As a subscriber does that is traced itself.
        token = AMBIENT.set("subscriber")
        first, second = Consumer(kind, setting).source, Consumer(kind, setting).source
        first.events.subscribe(on_next)
        second.events.subscribe(on_next)
        AMBIENT.reset(token)
        await first.synced()
        await second.synced()
        await setting.quiet()
        setting.put("a")
        await setting.until(lambda: len(found) == 6)
        await asyncio.gather(*tasks)
        assert found == [""] * 6
        assert sorted(inherited) == sorted(
            key for name in "aba" for key in [setting.expected(name, initial=False).key or ""] * 2
        )
        assert AMBIENT.get() == ""
        stop(first, second)

    kind.play(scene)


def stop(*sources: Source) -> None:
    for source in sources:
        source.stop_intake()


def test_kind_is_that_of_the_status(kind: Kind) -> None:
    async def scene(setting: Setting) -> None:
        source = Consumer(kind, setting).source
        assert source.kind == source.status().kind == kind.name
        assert source.kind in {"informer", "webhook", "logs", "configmap"}
        assert isinstance(source, RereadableSource) is kind.is_rereadable

    kind.play(scene)
