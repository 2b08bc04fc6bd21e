from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from streams.runtime.health import Check, Health, ListenError
from streams.runtime.settings import Settings
from tests.unit.streams.cluster.virtual import VirtualLoop, run

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJl"  # noqa: S105  made up
DEADLINE_SECONDS = 5.0


@dataclass
class Process:
    """What a running process would say of itself."""

    ready: list[Check] = field(default_factory=list[Check])
    alive: list[Check] = field(default_factory=list[Check])
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)


@dataclass
class Reply:
    status: int
    text: str
    headers: dict[str, str]


Ask = Callable[..., Awaitable[Reply]]


def served(
    process: Process,
    talk: Callable[[Ask, int], Awaitable[None]],
    *,
    idle_seconds: float = DEADLINE_SECONDS,
) -> None:
    """Run the server on a free port for the duration of the conversation."""

    async def main() -> None:
        health = Health(
            Settings(listen_port=0),
            registry=process.registry,
            ready=lambda: process.ready,
            alive=lambda: process.alive,
            idle_seconds=idle_seconds,
        )
        await health.start()
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{health.port}") as http:

                async def ask(
                    path: str, *, method: str = "GET", headers: dict[str, str] | None = None
                ) -> Reply:
                    async with http.request(method, path, headers=headers) as response:
                        text = await response.text()
                        return Reply(response.status, text, dict(response.headers))

                await asyncio.wait_for(talk(ask, health.port), DEADLINE_SECONDS)
        finally:
            await health.stop()

    asyncio.run(main())


def test_liveness_is_served_under_three_paths_and_readiness_under_two() -> None:
    process = Process(ready=[Check("a", ok=False)])

    async def talk(ask: Ask, _: int) -> None:
        for path in ("/livez", "/healthz", "/health"):
            assert ((await ask(path)).status, (await ask(path)).text) == (200, "ok")
        for path in ("/readyz", "/ready"):
            assert (await ask(path)).status == 503

    served(process, talk)


def test_not_ready_until_every_check_is_and_not_any_more_while_draining() -> None:
    process = Process(ready=[Check("api-server", ok=True), Check("source a", ok=False)])

    async def talk(ask: Ask, _: int) -> None:
        assert (await ask("/readyz")).status == 503
        process.ready[1] = Check("source a", ok=True)
        assert (await ask("/readyz")).status == 200
        process.ready.append(Check("accepting", ok=False, detail="stopping"))
        reply = await ask("/readyz")
        assert reply.status == 503
        assert "[-]accepting stopping" in reply.text

    served(process, talk)


def test_verbose_names_each_check_as_the_api_server_does() -> None:
    process = Process(
        ready=[Check("api-server", ok=True, detail="unused"), Check("source ns/a", ok=True)]
    )

    async def talk(ask: Ask, _: int) -> None:
        reply = await ask("/readyz?verbose")
        assert reply.text == "[+]api-server ok\n[+]source ns/a ok\nreadyz check passed\n"
        assert reply.headers["Content-Type"].startswith("text/plain")
        process.ready[1] = Check("source ns/a", ok=False, detail="Syncing")
        for path in ("/readyz?verbose", "/readyz"):
            reply = await ask(path)
            assert reply.text == "[+]api-server ok\n[-]source ns/a Syncing\nreadyz check failed\n"

    served(process, talk)


def test_a_dead_task_is_not_alive_and_an_unready_source_is() -> None:
    process = Process(ready=[Check("a", ok=False)], alive=[Check("source a", ok=True)])

    async def talk(ask: Ask, _: int) -> None:
        assert (await ask("/livez")).status == 200
        process.alive[0] = Check("source a", ok=False, detail="KeyError: 'x'")
        reply = await ask("/livez")
        assert reply.status == 503
        assert reply.text == "[-]source a KeyError: 'x'\nlivez check failed\n"

    served(process, talk)


def test_a_detail_is_one_short_line_without_a_secret() -> None:
    text = str(Check("a", ok=False, detail=f"no\r\nHTTP {TOKEN}" + "x" * 5000))

    assert text.isprintable()
    assert len(text) < 400
    assert "eyJ" not in text


def test_metrics_come_as_text_and_as_openmetrics() -> None:
    process = Process()
    Counter("seen", "What was seen.", registry=process.registry).inc(3)

    async def talk(ask: Ask, _: int) -> None:
        plain = await ask("/metrics")
        assert plain.status == 200
        assert plain.headers["Content-Type"].startswith("text/plain; version=")
        families = {it.name: it for it in text_string_to_metric_families(plain.text)}
        assert families["seen"].samples[0].value == 3
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        open_metrics = await ask("/metrics", headers=accept)
        assert open_metrics.headers["Content-Type"].startswith("application/openmetrics-text")
        assert open_metrics.text.endswith("# EOF\n")

    served(process, talk)


def test_only_reading_is_allowed_and_only_what_is_there() -> None:
    async def talk(ask: Ask, _: int) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            assert (await ask(path, method="HEAD")).status == 200
            for method in ("POST", "PUT", "DELETE", "PATCH"):
                reply = await ask(path, method=method)
                assert reply.status == 405
                assert "GET" in reply.headers["Allow"]
        for path in ("/", "/livez/", "/debug", "/metrics/x"):
            assert (await ask(path)).status == 404

    served(Process(), talk)


@pytest.mark.parametrize(
    ("target", "header", "status"),
    [
        ("/livez?" + "x" * (8192 - 7), "", 200),
        ("/livez?" + "x" * (8192 - 6), "", 400),
        ("/livez", "x" * 8192, 200),
        ("/livez", "x" * 8193, 400),
    ],
)
def test_a_request_line_or_a_header_beyond_8_kib_is_refused(
    target: str, header: str, status: int
) -> None:
    async def talk(_: Ask, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nA: {header}\r\n\r\n"
        writer.write(head.encode())
        assert int((await reader.readline()).split()[1]) == status
        await reader.read()
        writer.close()

    served(Process(), talk)


@pytest.mark.parametrize("sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: a\r\n"])
def test_a_connection_without_a_whole_request_is_closed_after_ten_seconds(sent: bytes) -> None:
    async def main(loop: VirtualLoop) -> float:
        settings = Settings(listen_port=0)
        health = Health(settings, registry=CollectorRegistry(), ready=list, alive=list)
        await health.start()
        began = loop.time()
        reader, writer = await asyncio.open_connection("127.0.0.1", health.port)
        writer.write(sent)
        assert await reader.read() == b""
        took_seconds = loop.time() - began
        writer.close()
        await health.stop()
        return took_seconds

    assert run(main) == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize("sent", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_an_idle_connection_is_closed_after_the_limit_given(sent: bytes) -> None:
    async def talk(_: Ask, port: int) -> None:
        began = asyncio.get_running_loop().time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with suppress(ConnectionResetError):  # closed before it was read
            await reader.read()
        writer.close()
        assert asyncio.get_running_loop().time() - began >= 0.2

    served(Process(), talk, idle_seconds=0.2)


def test_an_address_in_use_is_reported_with_its_option() -> None:
    async def talk(_: Ask, port: int) -> None:
        second = Health(
            Settings(listen_port=port), registry=CollectorRegistry(), ready=list, alive=list
        )
        with pytest.raises(ListenError) as caught:
            await second.start()
        assert str(caught.value) == f"--listen 127.0.0.1:{port}: Address already in use"

    served(Process(), talk)


def test_an_address_that_is_not_ours_is_an_error_too() -> None:
    async def main() -> None:
        elsewhere = Settings(listen_host="192.0.2.1", listen_port=0)
        health = Health(elsewhere, registry=CollectorRegistry(), ready=list, alive=list)
        with pytest.raises(ListenError, match=r"^--listen 192\.0\.2\.1:0: "):
            await health.start()

    asyncio.run(main())


def test_after_stop_no_connection_is_accepted() -> None:
    async def main() -> None:
        health = Health(
            Settings(listen_port=0), registry=CollectorRegistry(), ready=list, alive=list
        )
        await health.start()
        await health.stop()
        with socket.socket() as knock:
            assert knock.connect_ex(("127.0.0.1", health.port)) != 0

    asyncio.run(main())
