"""Container logs, line by line, in the form of the kubelet's log endpoint."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from demo.apiserver.documents import Object, as_list, as_object
from demo.apiserver.errors import bad_request, unprocessable
from demo.apiserver.validation import Cause, invalid

LINES = 10_000
"""Bound of lines per container; a kubelet keeps 10 MiB."""

Key = tuple[str, str]
"""The uid of a pod, and the name of a container."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its time."""

    at: datetime
    text: str

    def shown(self, *, timestamps: bool) -> bytes:
        """Encode the line."""
        return (
            f"{log_timestamp(self.at)} {self.text}\n".encode()
            if timestamps
            else f"{self.text}\n".encode()
        )


def log_timestamp(at: datetime) -> str:
    """Format a time as a kubelet does, with nine digits of a second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


class Log:
    """The numbered lines of one container; the oldest are dropped."""

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=LINES)
        self.end = 0
        self.closed = False
        self._changed = asyncio.Event()

    def append(self, line: Line) -> None:
        """Append a line, and wake followers."""
        self.lines.append(line)
        self.end += 1
        self._wake()

    def close(self) -> None:
        """End the log, because the container is removed."""
        self.closed = True
        self._wake()

    def since(self, number: int) -> list[Line]:
        """Return the retained lines from this number on."""
        count = min(self.end - number, len(self.lines))
        return list(self.lines)[len(self.lines) - count :] if count else []

    async def more(self, number: int) -> None:
        """Wait until the line of this number exists, or the log has ended."""
        while self.end <= number and not self.closed:
            await self._changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The PodLogOptions of a request."""

    container: str
    follow: bool
    timestamps: bool
    tail: int | None
    limit_bytes: int | None
    since: datetime | None


def log_options(query: Mapping[str, str], pod: Object, *, now: datetime) -> LogOptions:
    """Parse the query. Raises StatusError (400, 422)."""
    name = str(pod["metadata"]["name"])
    causes: list[Cause] = []
    tail = _number(query, "tailLines")
    limit = _number(query, "limitBytes")
    seconds = _number(query, "sinceSeconds")
    if tail is not None and tail < 0:
        causes.append(invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        causes.append(invalid("limitBytes", limit, "must be greater than 0"))
    if seconds is not None and seconds < 1:
        causes.append(invalid("sinceSeconds", seconds, "must be greater than 0"))
    since = _time(query.get("sinceTime", ""))
    if causes:
        raise unprocessable("PodLogOptions", "", name, causes)
    if seconds is not None:
        since = now - timedelta(seconds=seconds)
    return LogOptions(
        container=_container(query.get("container", ""), pod, name),
        follow=query.get("follow", "") in {"1", "true", "True"},
        timestamps=query.get("timestamps", "") in {"1", "true", "True"},
        tail=tail,
        limit_bytes=limit,
        since=since,
    )


def _container(requested: str, pod: Object, name: str) -> str:
    spec = as_object(pod.get("spec")) or {}
    known = [
        str(one.get("name"))
        for place in ("containers", "initContainers")
        for one in as_list(spec.get(place)) or ()
    ]
    if requested:
        if requested not in known:
            raise bad_request(f"container {requested} is not valid for pod {name}")
        return requested
    if len(known) > 1:
        choices = " ".join(known)
        raise bad_request(
            f"a container name must be specified for pod {name}, choose one of: [{choices}]"
        )
    return known[0] if known else ""


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise bad_request(
            f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
        ) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Logs:
    """The logs of all containers of existing pods."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._logs: dict[Key, Log] = {}

    def log(self, uid: str, container: str) -> Log:
        """Return the log of a container, created empty."""
        return self._logs.setdefault((uid, container), Log())

    def write(self, uid: str, container: str, text: str) -> None:
        """Append a line to the log of a container."""
        self.log(uid, container).append(Line(self._now(), text))

    def forget(self, uid: str) -> None:
        """Drop the logs of a removed pod."""
        for key in [key for key in self._logs if key[0] == uid]:
            self._logs.pop(key).close()

    def close(self) -> None:
        """End all logs."""
        for log in self._logs.values():
            log.close()


async def chunks(log: Log, options: LogOptions) -> AsyncIterator[bytes]:
    """Yield the lines of a log, then new ones if it is followed."""
    left = options.limit_bytes
    lines = [line for line in log.lines if options.since is None or line.at >= options.since]
    if options.tail is not None:
        lines = lines[len(lines) - options.tail :] if options.tail < len(lines) else lines
    at = log.end
    while True:
        data = b"".join(line.shown(timestamps=options.timestamps) for line in lines)
        if left is not None:
            data = data[:left]
            left -= len(data)
        if data:
            yield data
        if not options.follow or left == 0 or (log.closed and at >= log.end):
            return
        await log.more(at)
        lines, at = log.since(at), log.end
