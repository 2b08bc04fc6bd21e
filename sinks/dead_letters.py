"""Events that ended by a fault, for whoever has to look into them: a bounded list, and a warning each in the log."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass

from operators.flow.clock import WallClock, timestamp
from operators.flow.delivery import Ticket
from operators.model.masking import redacted_text
from operators.model.outcome import FAULTS

log = logging.getLogger(__name__)

KEPT = 1000
"""So many of the newest faults are kept in memory; the counts of all of them stand in the ledger."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that ended by a fault; it holds no body, and of an error no secret."""

    moment: str
    pipeline: str
    key: str
    ending: str
    reason: str
    detail: str
    trace_id: str = ""
    span_id: str = ""
    """Its root's, by which its trace is found if it was traced; both in hexadecimal digits."""


class DeadLetters:
    """The newest faults of all pipelines."""

    def __init__(self, *, now: WallClock) -> None:
        self._now = now
        self.letters: deque[DeadLetter] = deque(maxlen=KEPT)

    def note(self, pipeline: str, ticket: Ticket) -> None:
        """Keep an event that ended by a fault, and warn; any other ending is no business of this."""
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
        said = {"pipeline": pipeline, "key": letter.key, "detail": letter.detail}
        if trace is not None:
            said |= {"trace_id": letter.trace_id, "span_id": letter.span_id}
        self.letters.append(letter)
        log.warning(
            "event %s: %s",
            letter.ending,
            letter.reason,
            extra=said,
        )
