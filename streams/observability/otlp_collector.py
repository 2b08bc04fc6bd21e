"""One request to a collector, and what its answer means by the OTLP specification."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

import aiohttp
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from operators.model.masking import redacted_text
from streams.observability.environment import Otlp

RETRYABLE = frozenset({429, 502, 503, 504})
ANSWER_BYTES = 64 * 1024
RETRY_AFTER_MOST_SECONDS = 30.0
DETAIL_CHARACTERS = 200
_OK = range(200, 300)


class Verdict(Enum):
    """What became of a request."""

    TAKEN = auto()
    AGAIN = auto()
    """The collector is busy, or was not to be reached."""
    REFUSED = auto()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a collector said; ``answered`` is false where nobody did."""

    verdict: Verdict
    detail: str = ""
    rejected: int = 0
    """Spans that it would not have, of a request that it took."""
    retry_after_seconds: float | None = None
    answered: bool = True


class Collector:
    """The collector that the environment names; one connection."""

    def __init__(self, otlp: Otlp, tls: ssl.SSLContext | None, *, user_agent: str) -> None:
        self.place = otlp.place
        self._otlp = otlp
        self._tls = tls
        self._headers = {
            "User-Agent": user_agent,
            **otlp.headers,
            "Content-Type": "application/x-protobuf",
        }
        self._http: aiohttp.ClientSession | None = None

    async def send(self, request: bytes) -> Reply:
        """Send one request; it never raises but when cancelled."""
        body, headers = request, self._headers
        if self._otlp.gzip:
            body = await asyncio.to_thread(gzip.compress, request, 1)
            headers = {**headers, "Content-Encoding": "gzip"}
        try:
            async with self._open().post(
                self._otlp.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                said = await _answer(response.content)
                return reply_of(response.status, response.headers, said)
        except ValueError as error:
            return Reply(Verdict.REFUSED, type(error).__name__)
        except (aiohttp.ClientError, OSError) as error:
            # Its class alone: the text of an error may repeat the address.
            return Reply(Verdict.AGAIN, type(error).__name__, answered=False)

    async def close(self) -> None:
        """Close the connection."""
        if self._http is not None:
            await self._http.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=1, ssl=self._tls or True),
                timeout=aiohttp.ClientTimeout(total=self._otlp.timeout_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._http


async def _answer(content: aiohttp.StreamReader) -> bytes:
    """All of an answer, up to its bound: one read gives no more than what has come so far."""
    said = bytearray()
    while len(said) < ANSWER_BYTES:
        piece = await content.read(ANSWER_BYTES - len(said))
        if not piece:
            break
        said += piece
    return bytes(said)


def reply_of(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Read an answer."""
    if status in _OK:
        return _partial(body)
    if status in RETRYABLE:
        return Reply(Verdict.AGAIN, str(status), retry_after_seconds=_retry_after(headers))
    return Reply(Verdict.REFUSED, str(status))


def _partial(body: bytes) -> Reply:
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        return Reply(Verdict.TAKEN)
    detail = redacted_text(partial.error_message)[:DETAIL_CHARACTERS]
    return Reply(Verdict.TAKEN, detail, rejected=max(0, partial.rejected_spans))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "").strip()
    if not (text.isascii() and text.isdigit()):
        return None
    return min(float(text[:9]), RETRY_AFTER_MOST_SECONDS)
