"""What a source of subjects promises beside: its newest state can be read at any time, and is never lost."""

from __future__ import annotations

import msgspec
import pytest

from operators.model.event import Change, ObjectState, RawEvent, RemovalReason, Tombstone
from operators.model.outcome import SPILLED, Outcome, Suspension
from tests.contract.sources.consumer import Consumer
from tests.contract.sources.settings import Kind, Setting

SECOND = 1_000_000_000


def key_of(setting: Setting, name: str) -> str:
    key = setting.expected(name, initial=True).key
    assert key is not None
    return key


def suspension_of(*, retry_at_ns: int = 10**15) -> Suspension:
    return Suspension("403 default", detail="quota", retry_at_ns=retry_at_ns)


def timed(event: RawEvent) -> RawEvent:
    """An event as a timer sends it through the pipeline again."""
    assert isinstance(event.payload, ObjectState)
    payload = msgspec.structs.replace(event.payload, change=Change.TIMER)
    return msgspec.structs.replace(event, payload=payload)


# backpressure


def test_backpressure_loses_no_final_state(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for number in range(25):
            setting.put(f"c{number}")
        consumer = Consumer(rereadable, setting, capacity=2, holds=True)
        consumer.start()
        for round_ in range(40):
            if round_ < 10:
                setting.put(f"c{round_}")
                setting.put(f"new-{round_}")
                setting.remove(f"c{round_ + 15}")
            await setting.rest(0.3)
            assert len(consumer.held) <= 2
            consumer.settle_all()
            consumer.check()
        await settled(setting, consumer)
        assert consumer.spilled > 0
        assert consumer.believed == setting.server
        consumer.check()

    rereadable.play(scene)


def test_backpressure_waits_for_room_and_marks_meanwhile(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for number in range(10):
            setting.put(f"c{number}")
        consumer = await Consumer(rereadable, setting, capacity=1, holds=True).synced()
        assert (len(consumer.held), consumer.spilled) == (1, 9)
        assert consumer.source.status().dirty_objects == 9
        assert consumer.source.status().known_objects == 10
        emitted = len(consumer.admissions)
        await setting.rest(300)
        await consumer.until(emitted)  # nothing is read again without room for it
        await settled(setting, consumer)
        assert consumer.believed == setting.server

    rereadable.play(scene)


def test_backpressure_loses_no_removal_of_what_is_tracked(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        consumer = await Consumer(rereadable, setting).synced()
        assert len(consumer.believed) == 3
        consumer.holds, consumer.room.capacity = True, 0
        for name in "abc":
            setting.remove(name)
        await setting.quiet()
        assert consumer.source.status().dirty_objects == 3
        consumer.room.capacity = 1
        consumer.rereadable.notify_resumed()
        await settled(setting, consumer)
        assert consumer.believed == {}

    rereadable.play(scene)


async def settled(setting: Setting, consumer: Consumer) -> None:
    """Settle what is held, until everything was stored."""
    for _ in range(60):
        await setting.quiet()
        if not consumer.held and not consumer.source.status().dirty_objects:
            return
        consumer.settle_all()
    raise AssertionError("it never came to rest")


# reread


def test_reread_emits_the_newest_state_again(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = await Consumer(rereadable, setting).synced()
        consumer.rereadable.request_reread(key_of(setting, "a"))
        event = (await consumer.until(3))[2]
        assert event.key == key_of(setting, "a")
        assert isinstance(event.payload, ObjectState)
        assert event.payload.version == setting.server[key_of(setting, "a")]
        assert event.payload.change is Change.MODIFIED
        assert event.raw
        await setting.rest(120)
        await consumer.until(3)
        consumer.check()

    rereadable.play(scene)


def test_reread_of_many_requests_is_one_event(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(rereadable, setting).synced()
        for _ in range(5):
            consumer.rereadable.request_reread(key_of(setting, "a"))
        assert consumer.source.status().dirty_objects == 1
        await setting.rest(120)
        await consumer.until(2)

    rereadable.play(scene)


def test_reread_of_what_does_not_exist_and_is_not_tracked_is_nothing(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        consumer = await Consumer(rereadable, setting).synced()
        for key in ("default/never", "", "default/"):
            consumer.rereadable.request_reread(key, uid="uid")
        assert consumer.source.status().dirty_objects == 0
        await setting.rest(120)
        await consumer.until(0)

    rereadable.play(scene)


def test_reread_of_what_was_removed_emits_its_removal(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        consumer = await Consumer(rereadable, setting).synced()
        consumer.believed["default/gone"] = "1"
        consumer.rereadable.request_reread("default/gone", uid="uid-gone")
        (event,) = await consumer.until(1)
        assert event.key == "default/gone"
        assert event.subject is not None
        assert event.subject.name == "gone"
        assert isinstance(event.payload, Tombstone)
        assert (event.payload.uid, event.payload.reason) == ("uid-gone", RemovalReason.DELETED)
        assert consumer.believed == {}
        consumer.check()

    rereadable.play(scene)


def test_reread_after_a_suspension_waits_for_its_end(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "abc":
            setting.put(name)
        consumer = await Consumer(rereadable, setting).synced()
        suspension = suspension_of()
        for name in "ab":
            consumer.rereadable.request_reread(key_of(setting, name), after=suspension)
        assert consumer.source.status().dirty_objects == 2
        await setting.rest(120)
        await consumer.until(3)
        suspension.is_open = False
        await setting.rest(1)
        consumer.rereadable.notify_resumed()
        events = await consumer.until(5)
        assert {event.key for event in events[3:]} == {key_of(setting, name) for name in "ab"}
        assert consumer.source.status().dirty_objects == 0

    rereadable.play(scene)


def test_reread_under_an_open_suspension_is_one_test_every_30_seconds(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        consumer = Consumer(rereadable, setting)
        consumer.suspension = suspension_of(retry_at_ns=30 * SECOND)
        for name in "abcd":
            setting.put(name)
        await consumer.synced()
        assert consumer.spilled == 4
        await setting.rest(95)
        assert 6 <= consumer.spilled <= 7  # one of them each 30 s
        assert consumer.source.status().dirty_objects == 4
        consumer.suspension.is_open = False
        consumer.rereadable.notify_resumed()
        await setting.until(lambda: consumer.believed == setting.server)
        consumer.check()

    rereadable.play(scene)


def test_reread_before_the_start_and_after_the_stop_is_nothing(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        key = key_of(setting, "a")
        consumer = Consumer(rereadable, setting)
        consumer.rereadable.request_reread(key)
        consumer.rereadable.notify_resumed()
        await consumer.synced()
        await consumer.until(1)
        consumer.source.stop_intake()
        consumer.rereadable.request_reread(key)
        consumer.rereadable.notify_resumed()
        await setting.rest(120)
        await consumer.until(1)
        assert consumer.source.status().dirty_objects == 0

    rereadable.play(scene)


@pytest.mark.parametrize("spills", [True, False])
def test_reread_follows_from_an_outcome_that_says_so(rereadable: Kind, spills: bool) -> None:  # noqa: FBT001
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(rereadable, setting, holds=True).synced()
        outcome = SPILLED if spills else Outcome(SPILLED.ending, "newer")
        assert outcome.must_reread is spills
        consumer.settle(outcome)
        await setting.rest(5)
        await consumer.until(1 + spills)

    rereadable.play(scene)


# reenter


def test_reenter_emits_the_event_and_counts_it_as_read(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(rereadable, setting, holds=True).synced()
        event = timed(consumer.settle())
        assert consumer.rereadable.reenter(event)
        assert consumer.events[-1] is event
        assert consumer.source.status().counters["read"]["timer"] == 1
        consumer.check()
        consumer.settle(SPILLED)  # it is settled like any other
        await consumer.until(3)
        consumer.check()

    rereadable.play(scene)


def test_reenter_is_refused_before_the_start_and_after_the_stop(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = Consumer(rereadable, setting)
        event = timed(setting.expected("a", initial=True))
        assert not consumer.rereadable.reenter(event)
        await consumer.synced()
        consumer.source.stop_intake()
        assert not consumer.rereadable.reenter(event)
        await consumer.until(1)
        consumer.check()

    rereadable.play(scene)


# keys


def test_keys_are_those_of_all_objects_that_exist(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = Consumer(rereadable, setting)
        assert len(consumer.rereadable.keys()) == 0
        assert not consumer.rereadable.knows(key_of(setting, "a"))
        await consumer.synced()
        gone = key_of(setting, "b")
        setting.remove("b")
        setting.put("c")
        await consumer.until(4)
        assert set(consumer.rereadable.keys()) == set(setting.server)
        assert len(consumer.rereadable.keys()) == consumer.source.status().known_objects == 2
        assert consumer.rereadable.knows(key_of(setting, "c"))
        assert not consumer.rereadable.knows(gone)

    rereadable.play(scene)


def test_keys_include_what_found_no_room(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = await Consumer(rereadable, setting, capacity=0, holds=True).synced()
        assert consumer.held == type(consumer.held)()
        assert set(consumer.rereadable.keys()) == set(setting.server)

    rereadable.play(scene)


# resumed


def test_resumed_without_a_suspension_emits_nothing(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        setting.put("a")
        consumer = await Consumer(rereadable, setting).synced()
        for _ in range(3):
            consumer.rereadable.notify_resumed()
        await setting.rest(5)
        await consumer.until(1)

    rereadable.play(scene)


def test_resumed_releases_nothing_of_a_suspension_that_is_open(rereadable: Kind) -> None:
    async def scene(setting: Setting) -> None:
        for name in "ab":
            setting.put(name)
        consumer = await Consumer(rereadable, setting).synced()
        over, open_ = suspension_of(), suspension_of()
        consumer.rereadable.request_reread(key_of(setting, "a"), after=over)
        consumer.rereadable.request_reread(key_of(setting, "b"), after=open_)
        over.is_open = False
        consumer.rereadable.notify_resumed()
        events = await consumer.until(3)
        assert events[2].key == key_of(setting, "a")
        await setting.rest(60)
        await consumer.until(3)
        assert consumer.source.status().dirty_objects == 1

    rereadable.play(scene)
