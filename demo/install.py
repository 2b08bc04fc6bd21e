"""Installation of the definitions (the product's, Trivy's, Kyverno's) and the namespaces of the demonstration."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import cast

import msgspec
import yaml

from demo.cluster import NAMESPACES
from demo.signal import Object
from streams.cluster.session import Session
from streams.config.crd import manifests

FOLDER = Path(__file__).with_name("definitions")
FIELD_MANAGER = "zen-streams-demo"
ESTABLISHED_SECONDS = 10.0
POLL_SECONDS = 0.02
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class _Condition(msgspec.Struct):
    type: str
    status: str


class _Status(msgspec.Struct, frozen=True):
    conditions: list[_Condition] | None = None


class _Definition(msgspec.Struct):
    status: _Status = _Status()


class InstallError(Exception):
    """The API server refused a definition or a namespace; the message names it and the reason."""


def definitions() -> list[Object]:
    """Return the product's definitions, and those of the signals."""
    files = sorted(FOLDER.glob("*.yaml"))
    return manifests() + [cast("Object", yaml.safe_load(file.read_text())) for file in files]


async def install(
    session: Session, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Apply the definitions and wait until they are established. Raises ``InstallError``."""
    paths = [await _apply(session, _DEFINITIONS, one) for one in definitions()]
    try:
        async with asyncio.timeout(ESTABLISHED_SECONDS):
            for path in paths:
                while not await _is_established(session, path):
                    await sleep(POLL_SECONDS)
    except TimeoutError:
        raise InstallError(f"not established within {ESTABLISHED_SECONDS:.0f} s") from None


async def create_namespaces(session: Session, names: Iterable[str] = NAMESPACES) -> None:
    """Create the namespaces of the signals. Raises ``InstallError``."""
    for name in names:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await _apply(session, "/api/v1/namespaces", body)


async def _apply(session: Session, collection: str, body: Object) -> str:
    path = f"{collection}/{body['metadata']['name']}"
    response = await session.request(
        "PATCH",
        path,
        verb="apply",
        query={"fieldManager": FIELD_MANAGER, "force": "true"},
        body=msgspec.json.encode(body),
        headers={"Content-Type": "application/apply-patch+yaml"},
    )
    if response.status not in {200, 201}:
        raise InstallError(f"{path}: {response.status} {response.reason}: {response.message}")
    return path


async def _is_established(session: Session, path: str) -> bool:
    response = await session.request("GET", path, verb="get")
    conditions = msgspec.json.decode(response.body, type=_Definition).status.conditions
    return any(one.type == "Established" and one.status == "True" for one in conditions or ())
