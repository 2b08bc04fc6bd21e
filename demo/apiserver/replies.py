"""What goes back to a client: an answer with a length, or one that grows."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as a whole."""

    body: bytes
    code: int = HTTPStatus.OK
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer that grows: a watch, or a log that is followed."""

    chunks: AsyncIterator[bytes]
    content_type: str = JSON


def json_reply(body: object, *, code: int = HTTPStatus.OK, content_type: str = JSON) -> Reply:
    """Any JSON."""
    return Reply(msgspec.json.encode(body), code, content_type)


def text_reply(text: str, *, code: int = HTTPStatus.OK) -> Reply:
    """Plain text."""
    return Reply(text.encode(), code, TEXT)
