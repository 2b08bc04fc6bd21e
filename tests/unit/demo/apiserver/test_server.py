"""The embedded server over its socket: what a genuine one has no equal for."""

from __future__ import annotations

import asyncio
import ssl
import stat
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
import yaml

from demo.apiserver.access import Rule, User
from demo.apiserver.faults import Fault, What
from demo.apiserver.server import ApiServer
from demo.apiserver.store import RING_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

MAPS = "/api/v1/namespaces/default/configmaps"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "app"}]},
}
READER = User(
    "reader",
    "readertoken",
    (Rule(frozenset({"get", "list"}), frozenset({""}), frozenset({"configmaps"})),),
)
SECONDS = 20.0


def config_map(name: str, text: str = "") -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"text": text},
    }


@asynccontextmanager
async def client(
    server: ApiServer, token: str | None = None
) -> AsyncGenerator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {token or server.token}"}
    connector = aiohttp.TCPConnector(ssl=trusting(server))
    async with aiohttp.ClientSession(server.url, connector=connector, headers=headers) as session:
        yield session


def trusting(server: ApiServer) -> ssl.SSLContext:
    """As strict as Python will be by default."""
    context = ssl.create_default_context(cadata=server.ca_pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def served(work: Callable[[ApiServer, aiohttp.ClientSession], Awaitable[None]], **how: Any) -> None:
    """Run the work beside a server."""

    async def run() -> None:
        async with asyncio.timeout(SECONDS), ApiServer(**how) as server, client(server) as session:
            await work(server, session)

    asyncio.run(run())


async def lines(response: aiohttp.ClientResponse, count: int) -> list[dict[str, Any]]:
    return [msgspec.json.decode(await response.content.readline()) for _ in range(count)]


def test_the_kubeconfig_leads_to_it_and_is_its_owners(tmp_path: Path) -> None:
    async def work(server: ApiServer, _: aiohttp.ClientSession) -> None:
        path = server.write_kubeconfig(tmp_path / "kubeconfig")
        document = yaml.safe_load(path.read_text())
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert document["clusters"][0]["cluster"]["server"] == server.url
        assert document["users"][0]["user"]["token"] == server.token
        assert document["contexts"][0]["context"]["namespace"] == "default"
        assert [one.name for one in path.parent.iterdir()] == ["kubeconfig"]

    served(work)


def test_every_server_has_a_token_of_its_own() -> None:
    assert ApiServer().token != ApiServer().token
    assert len(ApiServer().token) > 40


def test_an_object_made_inside_is_seen_outside() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        made = server.create(config_map("a"))
        async with session.get(f"{MAPS}/a") as answer:
            assert await answer.json() == made

    served(work)


def test_the_id_of_a_request_is_echoed() -> None:
    async def work(_: ApiServer, session: aiohttp.ClientSession) -> None:
        async with session.get(MAPS, headers={"Audit-ID": "mine"}) as answer:
            assert answer.headers["Audit-ID"] == "mine"
        async with session.get(f"{MAPS}?watch=1&timeoutSeconds=1", headers={"Audit-ID": "w"}) as it:
            assert it.headers["Audit-ID"] == "w"

    served(work)


def test_rules_allow_what_they_name_and_no_more() -> None:
    async def work(server: ApiServer, _: aiohttp.ClientSession) -> None:
        async with client(server, READER.token) as reader:
            asked = [
                reader.get(MAPS),
                reader.get(f"{MAPS}?watch=1"),
                reader.post(MAPS, json=config_map("a")),
                reader.get("/api/v1/pods"),
                reader.post("/debug/forget-history"),
                reader.get("/version"),
            ]
            codes = [(await it).status for it in asked]
        assert codes == [200, 403, 403, 403, 403, 200]

    served(work, users=[READER])


def test_only_the_administrator_makes_it_forget() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        first = server.create(config_map("a"))
        server.create(config_map("b"))
        at = first["metadata"]["resourceVersion"]
        async with session.post("/debug/forget-history") as answer:
            assert answer.status == 200
        async with session.get(f"{MAPS}?watch=1&resourceVersion={at}") as answer:
            (line,) = await lines(answer, 1)
        assert line["object"]["code"] == 410
        exact = f"{MAPS}?resourceVersion={at}&resourceVersionMatch=Exact"
        async with session.get(exact) as answer:
            assert answer.status == 410

    served(work)


def test_a_watch_that_is_up_to_date_survives_forgetting() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{MAPS}?watch=1") as answer:
            server.create(config_map("a"))
            await lines(answer, 1)
            server.forget_history()
            server.create(config_map("b"))
            (line,) = await lines(answer, 1)
            assert line["object"]["metadata"]["name"] == "b"

    served(work)


def test_a_reader_that_falls_too_far_behind_is_cut() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create(config_map("first"))
        async with session.get(f"{MAPS}?watch=1") as answer:
            await lines(answer, 1)
            text = "x" * (1 << 20)
            made = 2 * RING_BYTES // len(text)
            for number in range(made):
                server.create(config_map(f"n{number}", text))
                await asyncio.sleep(0)  # the watch writes until nobody takes what it writes
            seen = [it async for it in answer.content.iter_any()]
        assert sum(len(it) for it in seen) < made * len(text)

    served(work)


def test_leaving_ends_the_watches() -> None:
    async def run() -> None:
        async with asyncio.timeout(SECONDS), ApiServer() as server, client(server) as session:
            answer = await session.get(f"{MAPS}?watch=1")
            await server.__aexit__()
            assert await answer.content.read() == b""

    asyncio.run(run())


def test_a_deleted_definition_ends_its_watches() -> None:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.org"},
        "spec": {
            "group": "example.org",
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [version],
        },
    }

    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create(crd)
        server.create({"apiVersion": "example.org/v1", "kind": "Thing", "metadata": {"name": "a"}})
        async with session.get("/apis/example.org/v1/things?watch=1") as answer:
            (added,) = await lines(answer, 1)
            crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
            await session.delete(f"{crds}/things.example.org")
            rest = [msgspec.json.decode(line)["type"] async for line in answer.content]
        assert (added["type"], rest) == ("ADDED", ["DELETED"])

    served(work)


def test_a_namespace_takes_its_content_with_it() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
        for name, finalizers in (("free", []), ("held", ["example.com/hold"])):
            body = config_map(name)
            body["metadata"] |= {"namespace": "shop", "finalizers": finalizers}
            server.create(body)
        held = "/api/v1/namespaces/shop/configmaps/held"

        await session.delete("/api/v1/namespaces/shop")
        codes = [(await session.get(path)).status for path in (held, "/api/v1/namespaces/shop")]
        merge = {"Content-Type": "application/merge-patch+json"}
        freed = b'{"metadata":{"finalizers":null}}'
        await session.patch(held, data=freed, headers=merge)
        gone = [(await session.get(path)).status for path in (held, "/api/v1/namespaces/shop")]

        assert (codes, gone) == ([200, 200], [404, 404])

    served(work)


def test_a_namespace_stays_until_its_finalizers_are_gone() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        metadata = {"name": "shop", "finalizers": ["example.com/hold"]}
        server.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        path = "/api/v1/namespaces/shop"

        await session.delete(path)
        async with session.get(path) as answer:
            held = (await answer.json())["status"]["phase"]
        merge = {"Content-Type": "application/merge-patch+json"}
        await session.patch(path, data=b'{"metadata":{"finalizers":null}}', headers=merge)

        assert (held, (await session.get(path)).status) == ("Terminating", 404)

    served(work)


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = self.began = datetime.now(UTC).replace(microsecond=0)  # certificates are real

    def __call__(self) -> datetime:
        return self.now


def test_a_log_is_read_from_its_end_from_a_time_and_up_to_a_size() -> None:
    clock = Clock()

    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create(POD)
        for number in range(4):
            server.write_log("default", "p", "app", f"line {number}")
            clock.now += timedelta(seconds=10)

        async def read(query: str) -> str:
            async with session.get(f"/api/v1/namespaces/default/pods/p/log?{query}") as answer:
                assert answer.content_type == "text/plain"
                return await answer.text()

        assert await read("tailLines=2") == "line 2\nline 3\n"
        assert await read("tailLines=0") == ""
        since = (clock.began + timedelta(seconds=25)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert await read(f"sinceTime={since}") == "line 3\n"
        assert await read("sinceSeconds=25") == "line 2\nline 3\n"
        assert await read("limitBytes=9") == "line 0\nli"
        stamped = await read("timestamps=true&tailLines=1")
        last = clock.began + timedelta(seconds=30)
        assert stamped == last.strftime("%Y-%m-%dT%H:%M:%S.000000000Z line 3\n")

    served(work, now=clock)


def test_an_event_goes_an_hour_after_it_was_last_written() -> None:
    clock = Clock()

    def told(name: str) -> dict[str, Any]:
        about = {"kind": "Pod", "namespace": "default", "name": "p"}
        named = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name}}
        return {**named, "involvedObject": about}

    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        events = "/api/v1/namespaces/default/events"
        first = server.create(told("once"))
        server.create(told("again"))
        clock.now += timedelta(minutes=50)
        patch = b'{"count":2}'
        merge = {"Content-Type": "application/merge-patch+json"}
        await session.patch(f"{events}/again", data=patch, headers=merge)
        clock.now += timedelta(minutes=11)
        server.create(told("new"))

        async with session.get(events) as answer:
            left = [one["metadata"]["name"] for one in (await answer.json())["items"]]
        at = first["metadata"]["resourceVersion"]
        async with session.get(f"{events}?watch=1&resourceVersion={at}") as answer:
            found = await lines(answer, 4)
        assert left == ["again", "new"]
        assert [it["type"] for it in found] == ["ADDED", "MODIFIED", "ADDED", "DELETED"]

    served(work, now=clock)


def test_a_log_is_followed_until_its_pod_is_gone() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create(POD)
        server.write_log("default", "p", "app", "before")
        path = "/api/v1/namespaces/default/pods/p"
        async with session.get(f"{path}/log?follow=true") as answer:
            assert await answer.content.readline() == b"before\n"
            server.write_log("default", "p", "app", "after")
            assert await answer.content.readline() == b"after\n"
            await session.delete(path)
            assert await answer.content.read() == b""

    served(work)


def test_a_log_needs_a_pod() -> None:
    with pytest.raises(LookupError, match="there is no pod default/none"):
        ApiServer().write_log("default", "none", "app", "x")


def test_a_refusal_is_injected_the_given_number_of_times() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        fault = server.faults.add(
            Fault(What.REFUSE, method="POST", path=f"{MAPS}*", times=2, retry_after_seconds=7)
        )
        answers = [await session.post(MAPS, json=config_map("a")) for _ in range(3)]

        assert [it.status for it in answers] == [429, 429, 201]
        assert answers[0].headers["Retry-After"] == "7"
        assert (await answers[0].json())["reason"] == "TooManyRequests"
        assert fault.met == 2

    served(work)


def test_a_connection_is_cut_before_an_answer() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.faults.add(Fault(What.CUT, method="POST"))
        with pytest.raises(aiohttp.ClientError):
            await session.post(MAPS, json=config_map("a"))
        async with session.get(f"{MAPS}/a") as answer:
            assert answer.status == 404

    served(work)


@pytest.mark.parametrize(
    ("what", "told"),
    [
        (What.DUPLICATE, ["a", "a", "b", "b", "c", "c"]),
        (What.CUT, ["a", "b"]),
        (What.EXPIRE, ["a", "b", "410"]),
    ],
)
def test_a_fault_is_injected_into_a_watch(what: What, told: list[str]) -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        for name in "abc":
            server.create(config_map(name))
        server.faults.add(Fault(what, path="*watch=1*", lines=2))
        seen: list[str] = []
        try:
            async with session.get(f"{MAPS}?watch=1&timeoutSeconds=1") as answer:
                async for line in answer.content:
                    found = msgspec.json.decode(line)["object"]
                    seen.append(found["metadata"].get("name") or str(found["code"]))
        except aiohttp.ClientError:
            assert what is What.CUT
        assert seen == told

    served(work)


def test_the_same_client_may_wait() -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        fault = server.faults.add(Fault(What.DELAY, seconds=0.1))
        began = asyncio.get_running_loop().time()
        async with session.get(MAPS) as answer:
            assert answer.status == 200
        assert asyncio.get_running_loop().time() - began >= 0.1
        assert fault.met == 1
        server.faults.clear()

    served(work)


@pytest.mark.parametrize(
    ("accepted", "size", "encoding"),
    [
        ("gzip, deflate", 129 * 1024, "gzip"),
        ("br, gzip", 129 * 1024, "gzip"),
        ("gzip;q=0.5", 129 * 1024, None),
        ("gzip", 120 * 1024, None),
        ("deflate", 129 * 1024, None),
        ("identity", 129 * 1024, None),
    ],
)
def test_a_large_list_is_compressed_for_a_client_that_takes_it(
    accepted: str, size: int, encoding: str | None
) -> None:
    async def work(server: ApiServer, session: aiohttp.ClientSession) -> None:
        server.create(config_map("large", "x" * size))
        headers = {"Accept-Encoding": accepted}
        async with session.get(MAPS, headers=headers) as response:
            assert response.headers.get("Content-Encoding") == encoding
            assert (await response.json())["items"][0]["data"]["text"] == "x" * size
            length = int(response.headers["Content-Length"])
            assert length < size / 10 if encoding else length > size

    served(work)
