"""OpenTelemetry's environment variables for the export of traces, read as its specification defines them.

Without any of them tracing is off, and nothing is logged. An invalid value is a ``TelemetryError``, which the caller
logs as a warning: telemetry never keeps the product from its work. No message repeats a header or the credentials in an
address.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from yarl import URL

DEFAULT_ENDPOINT = "http://localhost:4318"
TRACES_PATH = "v1/traces"
EXPORT_TIMEOUT_SECONDS = 3.0
"""Shorter than the specification's 10 s: batches are sent one after another, and the backlog holds 10 s of spans."""

_PROTOCOL = "http/protobuf"


class TelemetryError(ValueError):
    """An invalid variable: its name, what was found, what is allowed."""

    def __init__(self, name: str, *, found: str, allowed: str) -> None:
        super().__init__(f"{name}: found {found}, allowed: {allowed}")


@dataclass(frozen=True, slots=True)
class OtlpSettings:
    """Where and how traces are exported; ``repr`` shows no secret."""

    url: URL = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    timeout_seconds: float = EXPORT_TIMEOUT_SECONDS
    gzip: bool = False
    certificate: str = ""
    client_certificate: str = ""
    client_key: str = ""

    @property
    def address(self) -> str:
        """Host and port, for log lines: without the credentials that the URL may hold."""
        return f"{self.url.host}:{self.url.port}"


def read_environment(environment: Mapping[str, str]) -> OtlpSettings | None:
    """Read the variables; ``None`` where they configure no export. Raises ``TelemetryError``."""
    variables = {name: value.strip() for name, value in environment.items() if value.strip()}
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    url = _url(variables)
    if url is None:
        return None
    _check_protocol(variables)
    return OtlpSettings(
        url,
        _headers(_value("HEADERS", variables)),
        timeout_seconds=_timeout_seconds(variables),
        gzip=_compression(variables),
        certificate=_value("CERTIFICATE", variables),
        client_certificate=_value("CLIENT_CERTIFICATE", variables),
        client_key=_value("CLIENT_KEY", variables),
    )


def _value(name: str, variables: Mapping[str, str]) -> str:
    """Return the value of the variable for traces, else of the one for all signals, else an empty text."""
    for variable in (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
        if variable in variables:
            return variables[variable]
    return ""


def _name(name: str, variables: Mapping[str, str]) -> str:
    """Return the name of the variable that ``_value`` reads."""
    traces = f"OTEL_EXPORTER_OTLP_TRACES_{name}"
    return traces if traces in variables else f"OTEL_EXPORTER_OTLP_{name}"


def _url(variables: Mapping[str, str]) -> URL | None:
    exporter = variables.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in {"", "none", "otlp"}:
        raise TelemetryError("OTEL_TRACES_EXPORTER", found=exporter, allowed="otlp, none")
    base = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", DEFAULT_ENDPOINT if exporter else "")
    whole = variables.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "")
    if exporter == "none" or not (base or whole):
        return None
    return _http(_name("ENDPOINT", variables), whole or f"{base.rstrip('/')}/{TRACES_PATH}")


def _http(name: str, text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme in {"http", "https"} and url.host:
        return url
    # The value found may hold a password, so it is not repeated.
    raise TelemetryError(name, found="an invalid address", allowed="http://HOST:PORT, https://HOST")


def _check_protocol(variables: Mapping[str, str]) -> None:
    protocol = _value("PROTOCOL", variables)
    if protocol not in {"", _PROTOCOL}:
        allowed = f"{_PROTOCOL} (a collector's port for it is 4318)"
        raise TelemetryError(_name("PROTOCOL", variables), found=protocol, allowed=allowed)


def _headers(text: str) -> dict[str, str]:
    """Parse ``name=value,name=value``, percent-encoded; parts without ``=`` are left out."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): unquote(value.strip()) for name, is_pair, value in pairs if is_pair}


def _timeout_seconds(variables: Mapping[str, str]) -> float:
    text = _value("TIMEOUT", variables)
    if not text:
        return EXPORT_TIMEOUT_SECONDS
    if not (text.isascii() and text.isdigit() and int(text[:9])):
        raise TelemetryError(
            _name("TIMEOUT", variables), found=text, allowed="milliseconds, 1 or more"
        )
    return int(text[:9]) / 1000


def _compression(variables: Mapping[str, str]) -> bool:
    text = _value("COMPRESSION", variables)
    if text not in {"", "none", "gzip"}:
        raise TelemetryError(_name("COMPRESSION", variables), found=text, allowed="gzip, none")
    return text == "gzip"
