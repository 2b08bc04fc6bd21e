"""The metrics of one pipeline, as a table: a name, a text, and where the numbers stand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from operators.model.outcome import Ending
from streams.observability.metric_readings import PipelineReading

if TYPE_CHECKING:
    from streams.sources.informer.subscription import Subscription

REASON_CHARACTERS = 64
REASONS_MOST = 50
"""Distinct reasons a pipeline may show, the first that came; the rest is ``other``.

Reasons may hold names of rules, so documents could make any number of them.
"""
OTHER = "other"

Row = tuple[list[str], float]
Rows = Callable[[PipelineReading], Iterable[Row]]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric of every pipeline; ``labels`` come after ``source`` and ``ingester``."""

    name: str
    text: str
    rows: Rows
    labels: tuple[str, ...] = ()


def _outcomes(one: PipelineReading) -> Iterator[Row]:
    """Count by ending and reason; a ledger never forgets an entry, so a label never changes."""
    kept: set[str] = {""}
    shown: dict[tuple[str, str], int] = {}
    for (ending, reason), count in one.ledger.endings.items():
        label = reason[:REASON_CHARACTERS]
        if label not in kept and len(kept) > REASONS_MOST:
            label = OTHER
        else:
            kept.add(label)
        shown[ending.value, label] = shown.get((ending.value, label), 0) + count
    return (([ending, reason], count) for (ending, reason), count in shown.items())


def _single(read: Callable[[PipelineReading], float]) -> Rows:
    return lambda one: [([], read(one))]


def _watch(read: Callable[[Subscription], float]) -> Rows:
    return lambda one: [] if one.subscription is None else [([], read(one.subscription))]


def _counted(read: Callable[[Subscription], Mapping[str, int]]) -> Rows:
    def rows(one: PipelineReading) -> Iterator[Row]:
        if one.subscription is not None:
            for label, count in read(one.subscription).items():
                yield [label], count

    return rows


def _book(subscription: Subscription) -> Mapping[str, int]:
    book = subscription.book
    return {
        "lines": book.lines,
        "list_items": book.list_items,
        "gets": book.gets,
        "synthetic_deletes": book.synthetic_deletes,
        "bookmarks": book.bookmarks,
        "duplicates": book.duplicates,
        "server_errors": book.server_errors,
        "received": book.received,
    }


def _is_up(one: PipelineReading) -> float:
    return float(one.subscription is not None and one.subscription.condition is None)


def _is_synced(one: PipelineReading) -> float:
    return float(one.subscription is not None and one.subscription.synced.is_set())


def _version(one: PipelineReading) -> Iterator[Row]:
    version = one.subscription.statistics.version if one.subscription is not None else ""
    if version.isdecimal():
        yield [], float(version)


COUNTERS = (
    Family(
        "zenstreams_events_received",
        "Events that entered.",
        lambda one: [([one.kind], one.ledger.received)],
        ("kind",),
    ),
    Family(
        "zenstreams_events_outcome",
        "Events by how they ended.",
        _outcomes,
        ("outcome", "reason"),
    ),
    Family(
        "zenstreams_coalesced",
        "Events whose subject had, or will get, a newer one.",
        _single(lambda one: one.ledger.ended(Ending.COALESCED)),
    ),
    Family(
        "zenstreams_dedup_hits",
        "Events that said what the cluster knew already.",
        _single(lambda one: one.ledger.ended(Ending.DEDUPLICATED)),
    ),
    Family(
        "zenstreams_dedup_evicted",
        "Windows and told events forgotten before their time, for want of room.",
        _single(lambda one: one.windows.evicted),
    ),
    Family(
        "zenstreams_watch_connects",
        "Watches opened.",
        _counted(lambda subscription: subscription.statistics.connects),
        ("reason",),
    ),
    Family(
        "zenstreams_watch_relists",
        "Lists begun.",
        _counted(lambda subscription: subscription.statistics.relists),
        ("reason",),
    ),
    Family(
        "zenstreams_watch_failures",
        "Lists and watches that came to nothing.",
        _counted(lambda subscription: subscription.statistics.failures),
        ("reason",),
    ),
    Family("zenstreams_source_read", "The reader's own book.", _counted(_book), ("what",)),
    Family(
        "zenstreams_source_handler_errors",
        "Notices that the source failed to take: defects of ours.",
        _watch(lambda subscription: subscription.handler_errors),
    ),
)

GAUGES = (
    Family(
        "zenstreams_events_in_flight",
        "Events that have not ended.",
        _single(lambda one: one.ledger.in_flight),
    ),
    Family(
        "zenstreams_buffer_items",
        "Events the pipeline holds, from admission until they end.",
        _single(lambda one: one.room.items),
    ),
    Family(
        "zenstreams_buffer_bytes",
        "Bytes the pipeline holds.",
        _single(lambda one: one.room.bytes),
    ),
    Family(
        "zenstreams_buffer_capacity_bytes",
        "Bytes the pipeline may hold.",
        _single(lambda one: one.room.capacity_bytes),
    ),
    Family(
        "zenstreams_dedup_entries",
        "Observations, and windows of occurrences, that are known.",
        _single(lambda one: len(one.index) + len(one.windows)),
    ),
    Family("zenstreams_source_up", "Whether nothing keeps it from reading.", _single(_is_up)),
    Family("zenstreams_source_synced", "Whether its first list is through.", _single(_is_synced)),
    Family(
        "zenstreams_source_dirty_objects",
        "Objects to be read again when there is room.",
        _watch(lambda subscription: subscription.dirty_count),
    ),
    Family(
        "zenstreams_cache_objects",
        "Objects known.",
        _watch(lambda subscription: subscription.known),
    ),
    Family("zenstreams_watch_last_resource_version", "Up to where it has read.", _version),
)
