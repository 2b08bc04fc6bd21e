from __future__ import annotations

import pytest

from streams.sources.informer.condition import Fault, fault_of


@pytest.mark.parametrize(
    ("code", "reason", "message", "fault"),
    [
        (410, "Expired", "too old resource version", Fault.EXPIRED),
        (410, "", "", Fault.EXPIRED),
        (500, "Gone", "", Fault.EXPIRED),
        (504, "Timeout", "Too large resource version: 9, current: 1", Fault.VERSION_TOO_LARGE),
        (504, "Timeout", "the request timed out", Fault.SERVER_ERROR),
        (400, "BadRequest", "", Fault.INVALID),
        (422, "Invalid", "", Fault.INVALID),
        (401, "Unauthorized", "", Fault.UNAUTHORIZED),
        (403, "Forbidden", "", Fault.FORBIDDEN),
        (404, "", "404 page not found", Fault.KIND_MISSING),
        (429, "TooManyRequests", "", Fault.TOO_MANY_REQUESTS),
        (500, "InternalError", "", Fault.SERVER_ERROR),
        (503, "", "", Fault.SERVER_ERROR),
        (0, "", "", Fault.SERVER_ERROR),
        (302, "", "", Fault.SERVER_ERROR),
    ],
)
def test_what_the_server_says_is_one_of_few_faults(
    code: int, reason: str, message: str, fault: Fault
) -> None:
    assert fault_of(code, reason=reason, message=message) is fault
