from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from operators.flow.capacity import Credits, Room


async def turn() -> None:
    """Let every task that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def full() -> Room:
    room = Room(1, capacity_bytes=100)
    room.take(10)
    return room


def test_room_counts_events_and_bytes() -> None:
    room = Room(2, capacity_bytes=100)
    room.take(60)
    assert room.fits(40)
    assert not room.fits(41)
    assert not room.is_full
    room.take(40)
    assert room.is_full
    assert not room.fits(0)
    room.give(60)
    assert (room.items, room.bytes) == (1, 40)


@pytest.mark.parametrize(("size_bytes", "fits"), [(50, True), (100, True), (101, False)])
def test_a_larger_event_in_the_place_of_a_smaller_one_must_fit(
    *, size_bytes: int, fits: bool
) -> None:
    room = full()
    assert room.fits(size_bytes, instead_of=10) is fits
    assert not room.fits(0)


def test_bytes_alone_fill_a_room() -> None:
    room = Room(10, capacity_bytes=100)
    room.take(100)
    assert room.is_full


def test_who_waited_longest_goes_first_one_a_settlement() -> None:
    async def main() -> None:
        room = full()
        went: list[str] = []

        async def wait(name: str) -> None:
            await room.free()
            room.take(10)
            went.append(name)

        async with asyncio.TaskGroup() as tasks:
            for name in "abc":
                tasks.create_task(wait(name))
            for expected in (["a"], ["a", "b"], ["a", "b", "c"]):
                await turn()
                room.give(10)
                await turn()
                assert went == expected
                assert room.items == 1

    asyncio.run(main())


def test_a_waiter_cancelled_after_its_wake_up_passes_it_on() -> None:
    async def main() -> None:
        room = full()
        first, second = (asyncio.create_task(room.free()) for _ in range(2))
        await turn()
        room.give(10)
        await cancel(first)
        async with asyncio.timeout(1):
            await second

    asyncio.run(main())


def test_a_waiter_cancelled_before_its_wake_up_swallows_none() -> None:
    async def main() -> None:
        room = full()
        first, second = (asyncio.create_task(room.free()) for _ in range(2))
        await turn()
        await cancel(first)
        room.give(10)
        async with asyncio.timeout(1):
            await second

    asyncio.run(main())


def test_waiters_that_gave_up_leave_nothing_behind() -> None:
    async def main() -> None:
        room = full()
        for _ in range(100):
            waiter = asyncio.create_task(room.free())
            await turn()
            await cancel(waiter)
        assert len(room._waiting) == 0  # pyright: ignore[reportPrivateUsage]  the bound itself

    asyncio.run(main())


def test_a_waiter_whose_room_was_taken_waits_again() -> None:
    async def main() -> None:
        room = full()
        waiter = asyncio.create_task(room.free())
        await turn()
        room.give(10)
        room.take(10)
        await turn()
        assert not waiter.done()
        room.give(10)
        async with asyncio.timeout(1):
            await waiter

    asyncio.run(main())


def test_the_place_of_an_event_without_bytes_is_a_place() -> None:
    room = Room(1, capacity_bytes=10)
    room.take(0)

    assert room.excess(10, instead_of=0) == (0, 0)
    assert room.excess(10) == (1, 0)


def test_a_credit_given_back_is_one_credit() -> None:
    credits_ = Credits(2)
    credits_.take()
    credits_.take()
    credits_.give()
    credits_.take()
    assert not credits_.available


def test_credits_run_out_and_come_back() -> None:
    credits_ = Credits(1)
    assert credits_.available
    credits_.take()
    assert not credits_.available
    credits_.give()
    assert credits_.available
