"""The Observations of a cluster in memory: an apply replaces one, and each write is another version."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from operators.flow.trace import Correlation
from operators.model.identity import IngesterKey
from sinks.resource import validate
from sinks.responses import UnansweredError, WriteResponse
from sinks.stored import StoredRecord, decode_stored
from streams.cluster.observations import Observations
from tests.kit.doubles import UNANSWERED

Resource = dict[str, Any]


class ObservationServer(Observations):
    """Answers as an API server does; the scripted ``responses`` come first, one to each request."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], Resource] = {}
        """By namespace and name."""
        self.requests: list[tuple[str, str]] = []
        """The verb and ``namespace/name`` of each request."""
        self.responses: deque[WriteResponse] = deque()
        self._version = 0

    @property
    def applied(self) -> list[str]:
        """The names that were applied, in order."""
        return [of.partition("/")[2] for verb, of in self.requests if verb == "apply"]

    def put(self, resource: Resource) -> Resource:
        """Store a resource as it is, under another version."""
        metadata = resource["metadata"]
        key = metadata["namespace"], metadata["name"]
        self._version += 1
        before = self.stored.get(key)
        uid = before["metadata"]["uid"] if before is not None else f"made-{self._version}"
        self.stored[key] = resource | {
            "metadata": metadata | {"uid": uid, "resourceVersion": str(self._version)}
        }
        return self.stored[key]

    async def apply(
        self, namespace: str, name: str, *, body: bytes, correlation: Correlation | None = None
    ) -> WriteResponse:
        del correlation
        scripted = self._received("apply", namespace, name)
        if scripted is not None:
            return scripted
        resource: Resource = msgspec.json.decode(body)
        validate(resource)
        metadata = resource["metadata"]
        assert (metadata["namespace"], metadata["name"]) == (namespace, name)
        before = self.stored.get((namespace, name))
        required = metadata.get("resourceVersion")
        found = before["metadata"]["resourceVersion"] if before is not None else None
        if required is not None and required != found:
            return WriteResponse(409, reason="Conflict", message="the object has been modified")
        written = self.put(resource)
        return WriteResponse(201 if before is None else 200, msgspec.json.encode(written))

    async def read(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        del correlation
        scripted = self._received("read", namespace, name)
        if scripted is not None:
            return scripted
        found = self.stored.get((namespace, name))
        return _missing(name) if found is None else WriteResponse(200, msgspec.json.encode(found))

    async def delete(
        self, namespace: str, name: str, *, correlation: Correlation | None = None
    ) -> WriteResponse:
        del correlation
        scripted = self._received("delete", namespace, name)
        if scripted is not None:
            return scripted
        found = self.stored.pop((namespace, name), None)
        return _missing(name) if found is None else WriteResponse(200, msgspec.json.encode(found))

    async def list_of(self, ingester: IngesterKey) -> AsyncIterator[StoredRecord]:
        for resource in tuple(self.stored.values()):
            record = decode_stored(msgspec.json.encode(resource))
            if record is not None and record.identity.ingester == ingester:
                yield record

    def _received(self, verb: str, namespace: str, name: str) -> WriteResponse | None:
        self.requests.append((verb, f"{namespace}/{name}"))
        response = self.responses.popleft() if self.responses else None
        if response is UNANSWERED:
            raise UnansweredError("the connection broke")
        return response


def _missing(name: str) -> WriteResponse:
    return WriteResponse(404, reason="NotFound", message=f'observations "{name}" not found')
