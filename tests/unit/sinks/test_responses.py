"""Every response of an API server that a write can meet: its class, the executor's result, and how the event ends.

The messages are those of a kube-apiserver 1.37, shortened.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from operators.model.outcome import NEWER, Ending, Outcome
from sinks.observations import result_of
from sinks.queue import ALL_NAMESPACES
from sinks.responses import ResponseClass, WriteResponse, classify_response, is_in_doubt
from sinks.sink import ExecutionResult, Rejected, Suspended, TryAgain
from tests.kit.doubles import CREATED
from tests.unit.sinks.world import World, observation, run

TOO_LARGE_ETCD = "etcdserver: request is too large"
TOO_LARGE_GRPC = (
    "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2 vs. 1)"
)
TOO_LARGE_BODY = "Request entity too large: limit is 3145728"
UNTYPED = "failed to create typed patch object (n/x; zen.kube-zen.io/v1alpha1, Kind=Observation): .spec.count"
CANNOT_PATCH = (
    'observations.zen.kube-zen.io "x" is forbidden: User "u" cannot patch resource "observations"'
)
OVER_QUOTA = (
    'observations.zen.kube-zen.io "x" is forbidden: exceeded quota: tests, used: 1, limited: 1'
)
TERMINATING = "unable to create new content in namespace n because it is being terminated"
NO_OBSERVATION = 'observations.zen.kube-zen.io "x" not found'
NO_NAMESPACE = 'namespaces "n" not found'
NOT_SERVED = "the server could not find the requested resource"

DONE, MISSING, CONFLICT = ResponseClass.DONE, ResponseClass.MISSING, ResponseClass.CONFLICT
RETRY, TOO_LARGE, INVALID = ResponseClass.RETRY, ResponseClass.TOO_LARGE, ResponseClass.INVALID
NAMESPACE_GONE = ResponseClass.NAMESPACE_GONE
SUSPEND_NAMESPACE, SUSPEND_ALL = ResponseClass.SUSPEND_NAMESPACE, ResponseClass.SUSPEND_ALL

AT_ONCE, BACKOFF = 0.0, 0.25
"""What the queue waits, without jitter: nothing, or half of the first wait."""


@dataclass(frozen=True)
class Row:
    """One response and all that follows from it."""

    name: str
    response: WriteResponse
    expected: ResponseClass
    reason: str = ""
    """Of a rejection: the outcome's reason."""
    waits: float | None = None
    """Of what is tried again: the wait before the second attempt."""
    in_doubt: bool = False
    operation: str = ""


def status(code: int, reason: str = "", message: str = "", **fields: object) -> WriteResponse:
    return WriteResponse(code, reason=reason, message=message, **fields)  # pyright: ignore[reportArgumentType]


def done(code: int, operation: str) -> Row:
    return Row(str(code), WriteResponse(code, b'{"metadata":{}}'), DONE, operation=operation)


def rejected(name: str, response: WriteResponse, expected: ResponseClass, reason: str) -> Row:
    return Row(name, response, expected, reason=reason)


def fault(code: int, reason: str = "", message: str = "") -> Row:
    return Row(str(code), status(code, reason, message), RETRY, waits=BACKOFF, in_doubt=True)


ROWS = (
    done(200, "updated"),
    done(201, "created"),
    done(202, "updated"),
    rejected("400", status(400, "BadRequest", "unknown field"), INVALID, "invalid"),
    Row("401", status(401, "Unauthorized", "Unauthorized"), SUSPEND_ALL),
    Row("403 authorizer", status(403, "Forbidden", CANNOT_PATCH), SUSPEND_NAMESPACE),
    Row("403 quota", status(403, "Forbidden", OVER_QUOTA), SUSPEND_NAMESPACE),
    rejected(
        "403 cause",
        status(403, "Forbidden", "no", causes=("NamespaceTerminating",)),
        NAMESPACE_GONE,
        "namespace_gone",
    ),
    rejected(
        "403 in words", status(403, "Forbidden", TERMINATING), NAMESPACE_GONE, "namespace_gone"
    ),
    Row("404 object", status(404, "NotFound", NO_OBSERVATION), MISSING, waits=AT_ONCE),
    Row("404 text", status(404, "", "404 page not found"), SUSPEND_ALL),
    Row("404 resource", status(404, "NotFound", NOT_SERVED), SUSPEND_ALL),
    rejected(
        "404 namespace", status(404, "NotFound", NO_NAMESPACE), NAMESPACE_GONE, "namespace_gone"
    ),
    rejected("405", status(405, "MethodNotAllowed"), INVALID, "invalid"),
    Row("408", status(408, "Timeout"), RETRY, waits=BACKOFF),
    Row("409", status(409, "Conflict", "the object has been modified"), CONFLICT, waits=AT_ONCE),
    rejected("413", status(413, "RequestEntityTooLarge"), TOO_LARGE, "too_large"),
    Row("415", status(415, "UnsupportedMediaType"), SUSPEND_ALL),
    rejected("422", status(422, "Invalid", "spec.severity: Unsupported value"), INVALID, "invalid"),
    Row("429", status(429, "TooManyRequests"), RETRY, waits=BACKOFF),
    Row(
        "429 after",
        status(429, "TooManyRequests", retry_after_seconds=7.0),
        RETRY,
        waits=7.0,
    ),
    Row(
        "429 at once",
        status(429, "TooManyRequests", retry_after_seconds=0.0),
        RETRY,
        waits=AT_ONCE,
    ),
    rejected("500 etcd", status(500, "", TOO_LARGE_ETCD), TOO_LARGE, "too_large"),
    rejected("500 grpc", status(500, "", TOO_LARGE_GRPC), TOO_LARGE, "too_large"),
    rejected("500 body", status(500, "", TOO_LARGE_BODY), TOO_LARGE, "too_large"),
    rejected("500 untyped", status(500, "", UNTYPED), INVALID, "invalid"),
    fault(500, "InternalError", message="etcdserver: leader changed"),
    fault(502),
    fault(503, "ServiceUnavailable"),
    Row(
        "503 after",
        status(503, "ServiceUnavailable", retry_after_seconds=3.0),
        RETRY,
        waits=3.0,
        in_doubt=True,
    ),
    fault(504, "Timeout", message="request did not complete within the allotted timeout"),
    fault(599),
)


def by_name(row: Row) -> str:
    return row.name


def test_every_class_and_every_status_of_the_contract_has_a_row() -> None:
    assert {row.expected for row in ROWS} == set(ResponseClass)
    statuses = {row.response.status for row in ROWS}
    assert statuses >= {200, 201, 202, 400, 401, 403, 404, 408, 409, 413, 415, 422, 429}
    assert statuses >= {500, 502, 503, 504}
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_response_has_its_class(row: Row) -> None:
    assert classify_response(row.response) is row.expected
    assert is_in_doubt(row.response) is row.in_doubt


def expected_result(row: Row) -> ExecutionResult:
    response = row.response
    detail = f"{response.status} {response.reason}: {response.message}"
    error = str(response.status)
    if row.expected in {SUSPEND_ALL, SUSPEND_NAMESPACE}:
        return Suspended(None if row.expected is SUSPEND_ALL else "n", error, detail)
    if row.reason:
        is_gone = row.expected is NAMESPACE_GONE
        return Rejected(row.reason, detail, error, scope_is_gone=is_gone)
    requested = AT_ONCE if row.expected in {CONFLICT, MISSING} else response.retry_after_seconds
    return TryAgain(error, detail, requested, in_doubt=row.in_doubt)


@pytest.mark.parametrize("row", [row for row in ROWS if row.expected is not DONE], ids=by_name)
def test_a_response_has_its_result(row: Row) -> None:
    assert result_of(row.response, namespace="n") == expected_result(row)


@pytest.mark.parametrize("row", [row for row in ROWS if row.in_doubt], ids=by_name)
def test_a_read_is_never_in_doubt(row: Row) -> None:
    result = result_of(row.response, namespace="n", is_read=True)
    assert isinstance(result, TryAgain)
    assert not result.in_doubt


@pytest.mark.parametrize("row", ROWS, ids=by_name)
def test_a_response_ends_its_event(row: Row) -> None:
    """What is tried again is stored by the second attempt; nothing else is requested twice."""

    async def scene() -> None:
        world = World(row.response, CREATED)
        outcome = await world.end(observation())
        response = row.response
        detail = f"{response.status} {response.reason}: {response.message}"
        if row.expected is DONE:
            assert outcome == Outcome(Ending.STORED, operation=row.operation)
        elif row.waits is not None:
            assert outcome == Outcome(Ending.STORED, operation="created")
        elif row.reason:
            error = str(response.status)
            assert outcome == Outcome(Ending.DEAD_LETTERED, row.reason, detail, error)
        else:
            (suspension,) = world.suspensions
            scope = ALL_NAMESPACES if row.expected is SUSPEND_ALL else "n"
            assert suspension.name == f"{response.status} {scope}"
            assert outcome == Outcome(Ending.COALESCED, "spilled", detail, suspension=suspension)
            assert outcome.must_reread
        is_tried_again = row.waits is not None
        assert world.slept == ([row.waits] if is_tried_again else [])
        assert len(world.writer.asked) == 1 + is_tried_again
        assert (world.state.get(observation().identity) is not None) is (
            outcome.ending is Ending.STORED
        )

    run(scene)


@pytest.mark.parametrize("row", [row for row in ROWS if row.waits is not None], ids=by_name)
def test_only_what_is_in_doubt_is_known_before_it_is_confirmed(row: Row) -> None:
    async def scene() -> None:
        world = World(row.response)
        ticket = world.accept(observation())
        ticket.superseded = True
        assert await world.settled(ticket) == [NEWER]
        assert (world.state.get(observation().identity) is not None) is row.in_doubt

    run(scene)
