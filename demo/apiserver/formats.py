"""The string formats that the API server checks in custom resources.

Not checked, and so accepted: email beyond its rough form, and what no custom resource of a cluster
uses (bsonobjectid, creditcard, hexcolor, isbn, rgbcolor, ssn, k8s-short-name, k8s-long-name).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import ipaddress
import re
from collections.abc import Callable

_TIME = re.compile(
    r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
)
_DURATION = re.compile(r"[+-]?(?:0|(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+)")
_SPAN = re.compile(
    r"[0-9]+ ?(?:d|days?|h|hrs?|hours?|m|mins?|minutes?|s|secs?|seconds?|ms|millis?"
    r"|milliseconds?|µs|micros?|microseconds?|ns|nanos?|nanoseconds?|w|wks?|weeks?)"
)
_HOSTNAME = re.compile(r"[^\W_](?:[-\w]{0,61}[^\W_])?(?:\.[^\W_](?:[-\w]{0,61}[^\W_])?)*")
_EMAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}(?:(?:[:-][0-9a-fA-F]{2}){2})?")
_URI = re.compile(r"/[^\s]*|[a-zA-Z][-+.a-zA-Z0-9]*:[^\s]+")
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?([0-9a-f])[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}")
_HOSTNAME_CHARACTERS = 255


def is_known(format_name: str) -> bool:
    """Whether strings are checked against the format at all."""
    return format_name.replace("-", "") in _CHECKS


def holds(format_name: str, text: str) -> bool:
    """Whether a string has the format; one that nobody knows holds always."""
    check = _CHECKS.get(format_name.replace("-", ""))
    return check is None or check(text)


def _is_date(text: str) -> bool:
    try:
        return len(text) == len("2006-01-02") and bool(dt.date.fromisoformat(text))
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    date, _, time = text.lower().partition("t")
    match = _TIME.fullmatch(time)
    if match is None or not _is_date(date):
        return False
    hour, minute, second = match.groups()
    return hour <= "23" and minute <= "59" and second <= "59"


def _is_duration(text: str) -> bool:
    return bool(_DURATION.fullmatch(text) or _SPAN.fullmatch(text))


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _is_uuid(version: str) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        match = _UUID.fullmatch(text.lower())
        return match is not None and version in ("", match[1])

    return check


def _made(make: Callable[[str], object]) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            make(text)
        except ValueError:
            return False
        return True

    return check


def _network(text: str) -> object:
    if "/" not in text:
        raise ValueError(text)
    return ipaddress.ip_network(text, strict=False)


def _is_hostname(text: str) -> bool:
    return len(text) <= _HOSTNAME_CHARACTERS and bool(_HOSTNAME.fullmatch(text))


_CHECKS: dict[str, Callable[[str], bool]] = {
    "byte": _is_base64,
    "cidr": _made(_network),
    "date": _is_date,
    "datetime": _is_datetime,
    "duration": _is_duration,
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "hostname": _is_hostname,
    "ipv4": _made(ipaddress.IPv4Address),
    "ipv6": _made(ipaddress.IPv6Address),
    "mac": lambda text: bool(_MAC.fullmatch(text)),
    "password": lambda _: True,
    "uri": lambda text: bool(_URI.fullmatch(text)),
    "uuid": _is_uuid(""),
    "uuid3": _is_uuid("3"),
    "uuid4": _is_uuid("4"),
    "uuid5": _is_uuid("5"),
}
