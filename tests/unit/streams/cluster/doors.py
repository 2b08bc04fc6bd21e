"""A server with a guarded door, and what a kubeconfig says of those who want in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.unit.streams.cluster.servers import Certificates, session, status

if TYPE_CHECKING:
    from streams.cluster.access import Access
    from streams.cluster.response import Response


class Door:
    """A server that lets in who says the right word, and remembers all the words said."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.said: list[str | None] = []
        self.headers: list[Any] = []

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        said = request.headers.get("Authorization")
        self.said.append(said)
        self.headers.append(request.headers)
        if said != self.word:
            return status(401, reason="Unauthorized", message="Unauthorized")
        return web.Response(body=b"{}")


def trusting(certificates: Certificates, **user: object) -> dict[str, Any]:
    return {"cluster": {"certificate-authority": certificates.path("ca.crt")}, "user": user}


async def get(access: Access, times: int = 1) -> Response:
    async with session(access) as client:
        for _ in range(times - 1):
            await client.request("GET", "/", verb="get")
        return await client.request("GET", "/", verb="get")
