"""The Kubernetes API as plain requests and answers, for what tests ask of it themselves."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said, whatever its status; header names are in lower case, repeated ones are joined."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, which is one JSON object."""
        return msgspec.json.decode(self.body, type=dict[str, Any])


class RefusedError(RuntimeError):
    """A request that had to succeed was refused; `answer` says how."""

    def __init__(self, request: str, answer: Answer) -> None:
        self.answer = answer
        said = answer.body[:2000].decode(errors="replace")
        super().__init__(f"{request}: {answer.status} {said}")


class Api:
    """One server and one token; every request has a connection of its own, from any thread."""

    def __init__(self, url: str, *, ca_file: Path, token: str) -> None:
        self.url = url
        self._token = token
        self._tls = ssl.create_default_context(cafile=ca_file)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        token: str | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
        audit_id: str = "",
        seconds: float = 30.0,
    ) -> Answer:
        """The answer, read to its end; a watch is over at its `timeoutSeconds`.

        `path` holds the query; `body` is bytes, or anything msgspec makes JSON of. Raises OSError
        where there is no server, http.client.IncompleteRead where the answer is cut short.
        """
        place = urlsplit(self.url)
        connection = http.client.HTTPSConnection(
            place.hostname or "", place.port, context=self._tls, timeout=seconds
        )
        headers = {"Authorization": f"Bearer {token or self._token}", "Accept": accept}
        if audit_id:
            headers["Audit-ID"] = audit_id
        written = None
        if body is not None:
            written = body if isinstance(body, bytes) else msgspec.json.encode(body)
            headers["Content-Type"] = content_type
        try:
            connection.request(method, path, body=written, headers=headers)
            response = connection.getresponse()
            said = response.read()
            return Answer(response.status, _joined(response.getheaders()), said)
        finally:
            connection.close()

    def need(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """As request, where only success will do; raises RefusedError otherwise."""
        answer = self.request(method, path, **how)
        if answer.status >= http.client.BAD_REQUEST:
            raise RefusedError(f"{method} {path}", answer)
        return answer.json()


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """A header that is there several times is one list, with commas."""
    joined: dict[str, str] = {}
    for name, text in headers:
        key = name.lower()
        joined[key] = f"{joined[key]}, {text}" if key in joined else text
    return joined
