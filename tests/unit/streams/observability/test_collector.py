from __future__ import annotations

import asyncio

from streams.observability.environment import read
from streams.observability.otlp_collector import Collector

PARTIAL_SUCCESS = b"\x0a\x06\x08\x02\x12\x02no"
"""An ExportTraceServiceResponse: two spans rejected, and "no" said of them."""


def test_an_answer_in_pieces_is_read_whole() -> None:
    body = PARTIAL_SUCCESS

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"request")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:3])
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(body[3:])
        await writer.drain()
        writer.close()

    async def scene() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        otlp = read({"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"})
        assert otlp is not None
        collector = Collector(otlp, None, user_agent="a")
        async with server:
            reply = await collector.send(b"request")
            await collector.close()
        assert (reply.rejected, reply.detail) == (2, "no")

    asyncio.run(scene())
