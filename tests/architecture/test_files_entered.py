"""Who follows one event opens few files: those that its walk enters, from the watch's line to its settlement."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import cast

import msgspec
import pytest

from operators.flow.clock import utc_now, utc_now_ns
from operators.model.event import ApiResource
from operators.model.identity import IngesterKey
from operators.model.outcome import Ending
from sinks.dead_letters import DeadLetters
from sinks.queue import Suspensions
from sinks.responses import WriteResponse as Written
from sinks.stored import StoredRecord
from streams.cluster.observations import Observations
from streams.cluster.response import Response
from streams.config.source import Gvr
from streams.runtime.pipeline import Pipeline, PipelineContext
from streams.sources.informer.manager import InformerManager
from streams.sources.informer.target import WatchTarget
from tests.kit.doubles import ScriptedWriter
from tests.kit.plans import plan_of

TOP = Path(__file__).parents[2]
PACKAGES = ("operators", "sinks", "streams")
MOST_FILES = 25
"""What a reader can follow in one go."""
GVR = Gvr(group="example.org", version="v1", resource="widgets")
WIDGETS = ApiResource("example.org", "v1", "widgets", "Widget", namespaced=True)
EMPTY_LIST = b'{"kind":"WidgetList","metadata":{"resourceVersion":"1"},"items":[]}'
CREATED = Written(201, b'{"metadata":{"uid":"observation"}}')
WIDGET = {
    "apiVersion": WIDGETS.api_version,
    "kind": WIDGETS.kind,
    "metadata": {"namespace": "shop", "name": "w", "uid": "u", "resourceVersion": "2"},
    "severity": "high",
    "data": {"password": "hunter2"},
}


class Files:
    """The files of the product whose functions were called, in the order of the first call."""

    def __init__(self) -> None:
        self.entered: dict[str, str] = {}
        """File to the first function."""

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        file = Path(code.co_filename)
        if file.is_relative_to(TOP) and (name := file.relative_to(TOP)).parts[0] in PACKAGES:
            self.entered.setdefault(str(name), code.co_qualname)


class OneLine:
    """An API server with nothing to list, whose watch sends one line when it is released."""

    def __init__(self) -> None:
        self.status = 200
        self.released = asyncio.Event()

    async def request(self, *_: object, **__: object) -> Response:
        return Response(200, {}, EMPTY_LIST)

    @asynccontextmanager
    async def watch(self, *_: object, **__: object) -> AsyncGenerator[OneLine]:
        yield self

    async def chunks(self) -> AsyncIterator[bytes]:
        await self.released.wait()
        yield msgspec.json.encode({"type": "ADDED", "object": WIDGET}) + b"\n"
        await asyncio.Event().wait()

    async def read_response(self) -> Response:
        raise AssertionError("the watch was not refused")


class NothingStored(ScriptedWriter):
    """An API server without Observations, that creates every one."""

    async def list_of(self, _: IngesterKey) -> AsyncIterator[StoredRecord]:
        for record in ():
            yield record


async def discover(_: WatchTarget) -> ApiResource:
    return WIDGETS


async def turn_until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    while not holds():  # noqa: ASYNC110  nothing announces it
        await asyncio.sleep(0)


async def walk(files: Files) -> tuple[Pipeline, ScriptedWriter]:
    """Run one pipeline until its one event is settled, and note what that entered."""
    clock, server, writer = time.monotonic_ns, OneLine(), NothingStored(CREATED)
    context = PipelineContext(
        manager=InformerManager(server, discover=discover, clock=clock, random=lambda: 0.0),
        observations=cast("Observations", writer),
        suspensions=Suspensions(clock),
        dead_letters=DeadLetters(now=utc_now),
        clock=clock,
        now=utc_now,
        now_ns=utc_now_ns,
        random=lambda: 0.0,
    )
    pipeline = Pipeline(plan_of(gvr=GVR), context)
    pipeline.start()
    (restoring,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("source "))
    await restoring
    assert pipeline.complete
    ledger = pipeline.ledger
    sys.setprofile(files)
    server.released.set()
    try:
        await turn_until(lambda: bool(ledger.received) and not ledger.in_flight)
    finally:
        sys.setprofile(None)
    pipeline.stop_intake()
    await pipeline.abandon()
    await context.manager.close()
    return pipeline, writer


@pytest.fixture(scope="module")
def files() -> Files:
    """What one stored event entered; what profiled before profiles again afterwards."""
    before = sys.getprofile()
    found = Files()
    try:
        pipeline, writer = asyncio.run(walk(found))
    finally:
        sys.setprofile(before)
    print(f"{len(found.entered)} files:")
    for number, (file, function) in enumerate(found.entered.items(), start=1):
        print(f"{number:3} {file}  {function}")
    assert pipeline.ledger.endings == {(Ending.STORED, ""): 1}
    assert [verb for verb, _ in writer.asked] == ["apply"]
    assert b"hunter2" not in writer.bodies[0]
    walked = {"streams/sources/informer/informer.py", "sinks/observations.py"}
    assert walked <= found.entered.keys()
    return found


def test_a_stored_event_enters_at_most_so_many_files(files: Files) -> None:
    assert len(files.entered) <= MOST_FILES
