"""Events that ended by a fault: a bounded list in memory, and a warning each in the log."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from operators.flow.clock import WallClock
from operators.flow.delivery import Ticket
from operators.model.content import redacted_text
from operators.model.outcome import FAULTS
from operators.model.state import timestamp

log = logging.getLogger(__name__)

KEPT = 1000
"""The newest faults that are kept in memory; the counts of all of them stand in the ledger."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that ended by a fault; without its body, and without secrets in the error's text."""

    moment: str
    pipeline: str
    key: str
    ending: str
    reason: str
    detail: str
    trace_id: str = ""
    span_id: str = ""
    """The root's, by which the trace is found if the event was traced; both in hexadecimal digits."""


class DeadLetters:
    """The newest faults of all pipelines."""

    def __init__(self, *, now: WallClock) -> None:
        self._now = now
        self.letters: deque[DeadLetter] = deque(maxlen=KEPT)

    def record(self, pipeline: str, ticket: Ticket) -> None:
        """Keep an event that ended by a fault, and log a warning; any other ending is ignored."""
        outcome = ticket.outcome
        if outcome is None or outcome.ending not in FAULTS:
            return
        trace = ticket.trace
        letter = DeadLetter(
            timestamp(self._now()),
            pipeline,
            ticket.key if isinstance(ticket.key, str) else "",
            outcome.ending.value,
            outcome.reason,
            redacted_text(outcome.detail),
            f"{trace.trace_id:032x}" if trace is not None else "",
            f"{trace.root_id:016x}" if trace is not None else "",
        )
        fields = {"pipeline": pipeline, "key": letter.key, "detail": letter.detail}
        if trace is not None:
            fields |= {"trace_id": letter.trace_id, "span_id": letter.span_id}
        self.letters.append(letter)
        log.warning("event %s: %s", letter.ending, letter.reason, extra=fields)
