"""Seeded walks of a reflector over a model API server with faults, under a clock that only the walk moves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec

from operators.flow.clock import NANOSECONDS_PER_SECOND
from operators.model.event import Change
from streams.sources.informer.listing import ReflectorOutput
from streams.sources.informer.reflector import Discover, Fault, ListPage, OpenWatch, Reflector, Wait
from streams.sources.informer.store import ObjectChange, Store
from streams.sources.informer.target import WatchTarget
from tests.kit.changes import CONFIG_MAP, DELETED, is_inferred, kind_of
from tests.kit.model_api import ModelApi, Stream, line, status

EVENTS = WatchTarget("", "v1", "events")
NAMES = tuple("abcdefgh")
FAULTY_STEPS = 40
CALM_STEPS = 40
"""So many requests a reflector may need, once faults stop, to know everything."""
ROUNDS = 6
FIRST_MINUTE_NS = 60 * NANOSECONDS_PER_SECOND

Make = Callable[[WatchTarget, Random], tuple[Reflector, Store]]


class WrongError(AssertionError):
    """The reflector broke a rule."""


class View:
    """What somebody knows who believes every change."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[str, str]] = {}

    def take(self, change: ObjectChange) -> None:
        """Believe a change; raises ``WrongError`` where it contradicts what was told before."""
        uid, version = self.known.get(change.key, ("", ""))
        if kind_of(change) == DELETED:
            require(uid == change.payload.uid, "a deletion of something else")
            del self.known[change.key]
            return
        if kind_of(change) is Change.ADDED:
            require(not uid, "added twice")
        else:
            require(uid == change.payload.uid, "modified, but another object")
            require(version != change.payload.version, "modified, but the same version")
        self.known[change.key] = change.payload.uid, change.payload.version


class Walk:
    """One schedule of changes and faults, drawn from a seed."""

    def __init__(self, seed: int, make: Make) -> None:
        self.random = Random(seed)
        self.reached = Counter[str]()
        self.api = ModelApi(page_objects=3)
        self.reflector, self.store = make(EVENTS, self.random)
        self._view = View()
        self._now_ns = 0
        self._faulty = True
        self._tells_in_stream = self._chance(0.5)
        """In which of its two forms a server says 410; one server has one habit."""
        self._spoken_of = 0
        """The version up to which the server told everything."""
        self._early_failures = 0

    def run(self) -> None:
        """Walk, then let the faults stop; raises ``WrongError`` where the reflector was wrong."""
        for _ in range(FAULTY_STEPS):
            self._step()
        self._faulty = False
        require(any(self._step() for _ in range(CALM_STEPS)), "not at rest when faults stopped")
        server = {one.key: (one.uid, str(one.version)) for one in self.api.objects.values()}
        keys = self.store.keys()
        store = {key: (self.store.uid(key), self.store.version(key)) for key in keys}
        require(store == server, "the store is not what the server holds")
        require(self._view.known == server, "what was told is not what the server holds")

    def _step(self) -> bool:
        """Do what the reflector asks; true when it was told all there is, over a watch."""
        if self._faulty:
            self._change()
        step = self.reflector.next_step(self._now_ns)
        self._now_ns += self.random.randrange(NANOSECONDS_PER_SECOND // 10)
        if isinstance(step, Wait):
            self._now_ns = max(self._now_ns, step.until_ns)
        elif isinstance(step, Discover):
            self._discover_resource()
        elif isinstance(step, ListPage):
            self._list(step)
        else:
            return self._watch(step)
        return False

    def _change(self) -> None:
        for _ in range(self.random.randrange(4)):
            name = self.random.choice(NAMES)
            if name not in self.api.objects or self._chance(0.5):
                self.api.put(name)
                continue
            self.api.delete(name)
            if self._chance(0.4):
                self.api.put(name)
                self.reached["re-created"] += 1
        if self._chance(0.3):
            self.api.elsewhere()
        if self._chance(0.06):
            self.api.forget()

    def _chance(self, of: float) -> bool:
        return self.random.random() < of

    def _fault(self, name: str, of: float) -> bool:
        if not (self._faulty and self._chance(of)):
            return False
        self.reached[name] += 1
        return True

    def _fail(self, fault: Fault) -> None:
        self._note_failure()
        self.reflector.on_failure(fault, "injected", now_ns=self._now_ns)

    def _refuse(self, code: int, body: bytes) -> None:
        self._note_failure()
        self.reflector.on_error_response(code, body, now_ns=self._now_ns)

    def _note_failure(self) -> None:
        self._early_failures += self._now_ns < FIRST_MINUTE_NS
        require(self._early_failures <= 20, "more than 20 failures in the first minute")

    def _discover_resource(self) -> None:
        if self._fault("kind missing", 0.1):
            self._fail(Fault.KIND_MISSING)
        else:
            self.reflector.on_discovered(CONFIG_MAP)

    def _list(self, step: ListPage) -> None:
        if self._fault("list 500", 0.1):
            self._refuse(500, _status(500))
            return
        if self._fault("list cut", 0.05):
            self._fail(Fault.UNREACHABLE)
            return
        if "continue" in step.query and self._fault("token expired", 0.15):
            self.api.forget()
        code, body = self.api.list(step.query)
        if code != 200:
            self.reached[f"list {code}"] += 1
            self._refuse(code, body)
            return
        if "resourceVersionMatch" in step.query:
            self.reached["relist not older than"] += 1
        self._spoken_of = int(msgspec.json.decode(body)["metadata"]["resourceVersion"])
        for output in self.reflector.on_page(body, self._now_ns):
            self._take(output)

    def _watch(self, step: OpenWatch) -> bool:
        asked = int(step.query["resourceVersion"])
        require(asked == self._spoken_of, "a watch that does not begin where the last one ended")
        if self._fault("watch 500", 0.1):
            self._refuse(500, _status(500))
            return False
        stream = self.api.watch(step.query)
        if stream is None and not self._tells_in_stream:
            self.reached["watch 410"] += 1
            self._refuse(410, _status(410, "Expired"))
            return False
        self.reflector.on_watch_opened(self._now_ns)
        return self._follow(stream or self.api.stream(asked))

    def _follow(self, stream: Stream) -> bool:
        for _ in range(self.random.randrange(ROUNDS) if self._faulty else ROUNDS):
            self._now_ns += self.random.randrange(20 * NANOSECONDS_PER_SECOND)
            if self._faulty:
                self._change()
            for text in self._spoken(stream):
                self._say(text)
                if not self.reflector.is_watching:
                    return False
                if self._fault("watch cut", 0.05):
                    self._fail(Fault.UNREACHABLE)
                    return False
        if self._fault("idle", 0.1):
            self.reflector.on_idle()
        else:
            self.reflector.on_watch_ended(self._now_ns)
        return not self._faulty

    def _spoken(self, stream: Stream) -> list[bytes]:
        lines = stream.lines()
        if lines and self._fault("duplicate", 0.1):
            lines.append(lines[-1])
        if self._fault("in-stream 500", 0.04):
            lines.append(line("ERROR", status(500, "InternalError")))
        elif lines and b'"ERROR"' in lines[0]:
            pass
        elif not self._fault("bookmark lost", 0.4):
            lines.append(stream.bookmark())
        return lines

    def _say(self, text: bytes) -> None:
        said = msgspec.json.decode(text)
        if said["type"] == "ERROR":
            self.reached[f"in-stream {said['object']['code']}"] += said["object"]["code"] == 410
            self._note_failure()
        else:
            told = int(said["object"]["metadata"]["resourceVersion"])
            self._spoken_of = max(self._spoken_of, told)
        self._take(self.reflector.on_line(text, self._now_ns))

    def _take(self, output: ReflectorOutput) -> None:
        for change in (*output.changes, *output.removals):
            self.reached["deletion inferred"] += is_inferred(change)
            self._view.take(change)


def require(condition: bool, rule: str) -> None:  # noqa: FBT001  as ``assert``
    """Raise ``WrongError`` where a rule does not hold."""
    if not condition:
        raise WrongError(rule)


def _status(code: int, reason: str = "") -> bytes:
    return msgspec.json.encode(status(code, reason))
