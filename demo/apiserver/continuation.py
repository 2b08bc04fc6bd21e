"""Continue tokens: at which version a list is read, and behind which object it goes on."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from demo.apiserver.answers import RefusedError, bad_request

ENCODING = "meta.k8s.io/v1"
_INVALID = "invalid continue token: continue key is not valid"
_WHEREVER = -1
"""The version of a token that was handed out with a 410: the list goes on with the state of then."""


class Continuation(msgspec.Struct, frozen=True):
    """What a token says; `version` is None where consistency was given up."""

    version: int | None
    behind: str

    def token(self) -> str:
        """The token, opaque to clients."""
        version = _WHEREVER if self.version is None else self.version
        said = {"v": ENCODING, "rv": version, "start": f"/{self.behind}\0"}
        return urlsafe_b64encode(msgspec.json.encode(said)).decode().rstrip("=")


def read(token: str) -> Continuation:
    """What a token says; raises RefusedError (400) for what is none."""
    try:
        written = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raise _refused(f"illegal base64 data at input byte {len(token) // 4 * 4}") from None
    try:
        said = msgspec.json.decode(written, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        first = written[:1].decode("ascii", "replace")
        raise _refused(f"invalid character '{first}' looking for beginning of value") from None
    version, encoding, start = said.get("rv"), said.get("v"), said.get("start")
    if encoding != ENCODING:
        raise _refused(f"server does not recognize this encoded version {encoding}")
    if version == 0 or not isinstance(version, int) or not isinstance(start, str) or not start:
        raise _refused("incorrect encoded start resourceVersion")
    behind = start.removeprefix("/").removesuffix("\0")
    return Continuation(None if version == _WHEREVER else version, behind)


def _refused(why: str) -> RefusedError:
    return bad_request(f"{_INVALID}: {why}")
