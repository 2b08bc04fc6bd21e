"""What a response says of when to retry, and of what went wrong."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from streams.cluster.response import Response

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT", "Date": DATE}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:27:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:30 -0000", "Date": DATE}, None),
        ({"Retry-After": "soon", "Date": DATE}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": f"Wed, 21 Oct {9**30} 07:28:30 GMT", "Date": DATE}, None),
    ],
)
def test_when_to_retry(headers: dict[str, str], expected: float | None) -> None:
    response = Response(429, CIMultiDict(headers), b"")
    assert response.retry_after_seconds == expected


def test_a_status_gives_reason_and_message() -> None:
    body = b'{"kind":"Status","reason":"Conflict","message":"first\\nsecond\\u001b[31m"}'
    response = Response(409, {}, body)
    assert response.reason == "Conflict"
    assert response.message == "first second [31m"


def test_a_status_gives_its_causes() -> None:
    body = (
        b'{"kind":"Status","details":{"causes":[{"reason":"NamespaceTerminating"},{"field":"f"}]}}'
    )
    assert Response(403, {}, body).causes == ("NamespaceTerminating", "")
    assert Response(403, {}, b'{"kind":"Status","details":{"causes":null}}').causes == ()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"404 page not found\n", "404 page not found"),
        (b'{"kind":"Status","reason":null,"message":null}', '{"kind":"Status","reason":null,'),
        (b'{"kind":"Pod","message":"mine","reason":"mine"}', '{"kind":"Pod"'),
        (b'{"kind":"Status","reason":7}', '{"kind":"Status"'),
        (b"\xff\xfe\x00", "\ufffd\ufffd"),
        (b'{"message":"caf\xe9"}', '{"message":"caf\ufffd"}'),
        (b'{"message":' * 100_000, '{"message":'),
        (b'{"a":' * 100_000, '{"a":'),
        (b"", ""),
    ],
)
def test_what_is_no_status_is_shown_as_it_is(body: bytes, message: str) -> None:
    response = Response(500, {}, body)
    assert response.reason == ""
    assert response.causes == ()
    assert response.message.startswith(message)


def test_a_message_is_short_whatever_came() -> None:
    assert Response(500, {}, b"x" * 10_000_000).message == "x" * 300
    assert Response(500, {}, "é".encode() * 10_000).message == "é" * 300
