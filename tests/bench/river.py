"""An API server that does one thing: on loopback, in a process of its own, one watch that tells as fast as it is read.

`python river.py COUNT WATCHES PER_SECOND LINES` prints its port. Lists are empty; a watch of `river-N` is told COUNT
lines, of those in the file LINES in turn, all with versions of their own (`@VERSION@`), PER_SECOND in all over all
watches (0: no limit).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
AT_ONCE = 64
VERSION = "@VERSION@"


class River:
    def __init__(self, count: int, watches: int, per_second: float, lines: list[str]) -> None:
        self.count = count
        self.per_second = per_second / watches
        self.lines = lines
        self.opened = 0
        self.watches = watches
        self.all_open = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode()
                if "watch=true" in path:
                    await self.tell(writer)
                else:
                    writer.write(whole(answer(path, self.watches)))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def tell(self, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        self.opened += 1
        if self.opened == self.watches:
            self.all_open.set()
        await self.all_open.wait()
        began = time.monotonic()
        sent = 0
        while sent < self.count:
            due = (
                self.count
                if not self.per_second
                else int((time.monotonic() - began) * self.per_second)
            )
            batch = range(sent, min(due, sent + AT_ONCE, self.count))
            if not batch:
                await asyncio.sleep(0.001)
                continue
            text = "".join(
                self.lines[n % len(self.lines)].replace(VERSION, str(10 + n)) for n in batch
            ).encode()
            writer.write(b"%x\r\n%b\r\n" % (len(text), text))
            await writer.drain()
            sent += len(batch)
        await asyncio.Event().wait()


def whole(said: object) -> bytes:
    body = json.dumps(said).encode()
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


def answer(path: str, watches: int) -> object:
    if path.split("?", maxsplit=1)[0].count("/") <= 3:
        names = [f"river-{n}" for n in range(watches)]
        return {"resources": [{"name": it, "kind": "River", "namespaced": True} for it in names]}
    return {"kind": "RiverList", "metadata": {"resourceVersion": "1"}, "items": []}


async def main(river: River) -> None:
    server = await asyncio.start_server(river.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    told = Path(sys.argv[4]).read_text().splitlines(keepends=True)
    asyncio.run(main(River(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), told)))
