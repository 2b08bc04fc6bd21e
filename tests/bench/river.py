"""An API server that does one thing: on loopback, in a process of its own, watches that tell as fast as they are read.

`python river.py COUNT WATCHES PER_SECOND LISTED LINES` prints its port. A list holds LISTED objects, in pages. A watch
of `river-N`, or of Events, is told COUNT lines, of those in the file LINES in turn, PER_SECOND in all over all watches
(0: no limit). The version of each is the monotonic nanosecond at which it was sent (`@VERSION@`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import uvloop

HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
AT_ONCE = 64
TICK_SECONDS = 0.005
VERSION = "@VERSION@"
OWN = "zen.kube-zen.io"
EVENTS = "/api/v1/events"
DISCOVERY = 3
"""So many slashes at most has the path of a group that is asked which resources it has."""


class River:
    def __init__(
        self, count: int, watches: int, per_second: float, listed: int, lines: list[str]
    ) -> None:
        self.count = count
        self.listed = listed
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
                    writer.write(whole(self.answer(path)))
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
                await asyncio.sleep(TICK_SECONDS)
                continue
            now = time.monotonic_ns()
            text = "".join(
                self.lines[n % len(self.lines)].replace(VERSION, str(now + n)) for n in batch
            ).encode()
            writer.write(b"%x\r\n%b\r\n" % (len(text), text))
            await writer.drain()
            sent += len(batch)
        await asyncio.Event().wait()

    def answer(self, target: str) -> object:
        """Discovery, or a page of a list; of Observations there are none."""
        url = urlsplit(target)
        if url.path != EVENTS and url.path.count("/") <= DISCOVERY:
            names = ["events", *(f"river-{n}" for n in range(self.watches))]
            return {
                "resources": [{"name": it, "kind": "River", "namespaced": True} for it in names]
            }
        asked = parse_qs(url.query)
        first = int(asked.get("continue", ["0"])[0])
        listed = 0 if OWN in url.path or self.count else self.listed
        end = min(listed, first + int(asked.get("limit", [str(listed)])[0]))
        metadata = {"resourceVersion": "1"} | ({"continue": str(end)} if end < listed else {})
        items = [self.object(number) for number in range(first, end)]
        return {"kind": "RiverList", "metadata": metadata, "items": items}

    def object(self, number: int) -> object:
        """One of a list: as the first line has it, under a name and a uid of its own."""
        body = json.loads(self.lines[0].replace(VERSION, str(2 + number)))["object"]
        body["metadata"]["name"] = f"replicaset-checkout-{number}"
        body["metadata"]["uid"] = f"7c0e2f5a-1d43-4a86-9b1e-{number:012d}"
        return body


def whole(said: object) -> bytes:
    body = json.dumps(said).encode()
    return f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def main(river: River) -> None:
    server = await asyncio.start_server(river.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    count, watches, per_second, listed, source = sys.argv[1:]
    told = Path(source).read_text().splitlines(keepends=True)
    uvloop.run(main(River(int(count), int(watches), float(per_second), int(listed), told)))
