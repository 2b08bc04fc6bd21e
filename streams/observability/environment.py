"""What the environment says about traces: OpenTelemetry's own variables, as its specification reads them.

None set means off, without a word. A value that makes no sense is a warning and off, or the default: telemetry never
keeps the product from its work. No message repeats a header or the credentials in an address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from yarl import URL

DEFAULT_ENDPOINT = "http://localhost:4318"
TRACES_PATH = "v1/traces"
TIMEOUT_SECONDS = 3.0
"""Less than the specification's 10 s: a batch that hangs longer only holds up the next."""

_SPOKEN = "http/protobuf"


class TelemetryError(ValueError):
    """A variable asks for something that cannot be done: its name, what was found, what is allowed."""

    def __init__(self, name: str, *, found: str, allowed: str) -> None:
        super().__init__(f"{name}: found {found}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class Otlp:
    """Where traces go, and how; its text holds no secret."""

    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float = TIMEOUT_SECONDS
    gzip: bool = False
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return f"{self.url.host}:{self.url.port}"


def read(environment: Mapping[str, str]) -> Otlp | None:
    """Read the variables: where to send traces, or ``None`` for not at all. Raises ``TelemetryError``."""
    said = {name: value.strip() for name, value in environment.items() if value.strip()}
    if said.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    url = _url(said)
    if url is None:
        return None
    _check_protocol(said)
    return Otlp(
        url,
        _headers(_one("HEADERS", said)),
        timeout_seconds=_timeout_seconds(said),
        gzip=_compression(said),
        certificate=_one("CERTIFICATE", said),
        client_certificate=_one("CLIENT_CERTIFICATE", said),
        client_key=_one("CLIENT_KEY", said),
    )


def _one(name: str, said: Mapping[str, str]) -> str:
    """The variable for traces, else the one for all signals."""
    for variable in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
        if variable in said:
            return said[variable]
    return ""


def _name(name: str, said: Mapping[str, str]) -> str:
    traces = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    return traces if traces in said else f"OTEL_EXPORTER_OTLP_{name}"


def _url(said: Mapping[str, str]) -> URL | None:
    exporter = said.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in {"", "none", "otlp"}:
        raise TelemetryError("OTEL_TRACES_EXPORTER", found=exporter, allowed="otlp, none")
    base = said.get("OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_ENDPOINT if exporter else "")
    whole = said.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if exporter == "none" or not (base or whole):
        return None
    return _http(_name("ENDPOINT", said), whole or f"{base.rstrip('/')}/{TRACES_PATH}")


def _http(name: str, text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme in {"http", "https"} and url.host:
        return url
    # What was found may hold a password, so it is not repeated.
    raise TelemetryError(name, found="no such address", allowed="http://HOST:PORT, https://HOST")


def _check_protocol(said: Mapping[str, str]) -> None:
    protocol = _one("PROTOCOL", said)
    if protocol not in {"", _SPOKEN}:
        allowed = f"{_SPOKEN} (a collector's port for it is 4318)"
        raise TelemetryError(_name("PROTOCOL", said), found=protocol, allowed=allowed)


def _headers(text: str) -> dict[str, str]:
    """Read ``name=value,name=value``, percent-encoded; what is no pair is left out."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, is_pair, value in pairs if is_pair}


def _timeout_seconds(said: Mapping[str, str]) -> float:
    text = _one("TIMEOUT", said)
    if not text:
        return TIMEOUT_SECONDS
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        raise TelemetryError(_name("TIMEOUT", said), found=text, allowed="milliseconds from 1 on")
    return int(text[:9]) / 1000


def _compression(said: Mapping[str, str]) -> bool:
    text = _one("COMPRESSION", said)
    if text not in {"", "none", "gzip"}:
        raise TelemetryError(_name("COMPRESSION", said), found=text, allowed="gzip, none")
    return text == "gzip"
