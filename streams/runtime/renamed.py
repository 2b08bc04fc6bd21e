"""Observations from when the document's source had another name: their subjects go on under the new one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from operators.flow.delivery import Delivery, Ticket
from operators.model.event import Departure
from operators.model.identity import DIGEST_CHARACTERS
from operators.model.observation import Observation, Subject
from operators.model.outcome import is_spilled
from operators.model.severity import DEFAULT_CATEGORY, DEFAULT_EVENT_TYPE, DEFAULT_SEVERITY
from sinks.sink import Sink
from streams.runtime.rebuild import Subjects
from streams.sources.informer.book import Book
from streams.sources.informer.notice import Origin
from streams.sources.informer.store import tombstone

REASON = "source renamed"
AT_ONCE = 100
"""So many names are made before the loop is given back: each is a digest."""
AGAIN_SECONDS = 30.0
"""When one is tried again that a hold put aside."""


async def resolve_renamed(
    subjects: Subjects,
    sink: Sink,
    *,
    name_of: Callable[[str], str],
    namespace: str,
    book: Book,
    new_ticket: Callable[[], Ticket],
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Resolve, one after another, the Observations that bear their subject's digest behind another source.

    Each is an event with a ticket of its own, and an entry in the reader's book. What differs in more is left alone:
    whose it is cannot be told.
    ``namespace`` is that of the Observations of subjects without one.
    """
    for number, (name, subject) in enumerate(subjects.items()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if not _is_renamed(name, name_of(subject.key)):
            continue
        observation = _ended(name, subject.key, namespace=namespace)
        while True:
            book.receive(tombstone(subject.key), Origin.LIST)
            if not await _is_put_aside(sink, Delivery(observation, new_ticket())):
                break
            await sleep(AGAIN_SECONDS)


def _is_renamed(before: str, now: str) -> bool:
    return before != now and before[-DIGEST_CHARACTERS:] == now[-DIGEST_CHARACTERS:]


async def _is_put_aside(sink: Sink, delivery: Delivery[Observation]) -> bool:
    ticket, settled = delivery.ticket, asyncio.Event()
    ticket.when_settled(lambda _: settled.set())
    sink.accept(delivery)
    await settled.wait()
    return ticket.outcome is not None and is_spilled(ticket.outcome)


def _ended(name: str, key: str, *, namespace: str) -> Observation:
    own, _, subject = key.rpartition("/")
    return Observation(
        name=name,
        namespace=own or namespace,
        source=name[: -DIGEST_CHARACTERS - 1],
        category=DEFAULT_CATEGORY,
        severity=DEFAULT_SEVERITY,
        event_type=DEFAULT_EVENT_TYPE,
        title="",
        subject=Subject("", "", own, subject),
        gone=Departure.UNWANTED,
        unwanted_by=REASON,
    )
