"""The product's own composition of a pipeline, under a test's clock and with a test's policy of a full buffer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from reactivex import Observable

from operators.buffer import WhenFull
from operators.decoders.registry import Decoder, decoder_for
from operators.flow.clock import CallLater, Clock, WallClock
from operators.flow.delivery import Admission, BeginTrace, Delivery, Settled
from operators.model.event import RawEvent
from operators.model.observation import Observation, Removal
from operators.recheck import RecheckTimer
from sinks.sink import Sink
from streams.config.plan import Plan
from streams.runtime.pipeline import Parts, compose

NOW = datetime(2026, 11, 26, 6, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Edges:
    """What a pipeline meets at its edges: clocks, timers, the decoder, and what listens to settlements."""

    clock: Clock
    call_later: CallLater
    now: WallClock = lambda: NOW
    decoder: Decoder | None = None
    """The registry's choice for the plan's resource where it is None."""
    on_settle: Settled | None = None
    begin_trace: BeginTrace | None = None


def composed(
    plan: Plan,
    source: Observable[Admission],
    sink: Sink,
    *,
    parts: Parts,
    edges: Edges,
    when_full: WhenFull = WhenFull.SPILL,
) -> Observable[Delivery[Observation | Removal]]:
    """Compose a plan as production does, but for ``when_full``: an informer's plan always spills.

    No decoder of a test names a time to classify again, so that a recheck is a defect.
    """
    gvr = plan.source.watched

    def policy(_plan: Plan) -> WhenFull:
        return when_full

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("streams.runtime.pipeline.when_full_of", policy)
        return compose(
            plan,
            source,
            sink,
            parts=parts,
            decoder=edges.decoder or decoder_for(gvr.group, gvr.resource),
            recheck=RecheckTimer(
                now=edges.now,
                call_later=edges.call_later,
                reenter=_never,
                request_reread=_never,
            ),
            clock=edges.clock,
            call_later=edges.call_later,
            now=edges.now,
            on_settle=edges.on_settle,
            begin_trace=edges.begin_trace,
        )


def _never(what: RawEvent | str) -> None:
    raise AssertionError(f"no decoder here names a time to classify again: {what}")
