"""`zen-streams apiserver` as anybody runs it, and the product's own client against it."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path
from signal import Signals

import msgspec
import pytest

from streams.cluster.access import Access
from streams.cluster.rate_limit import RateLimiter
from streams.cluster.session import Session
from streams.config.crd import manifests
from tests.cluster.api import Api
from tests.cluster.generator import Generator
from tests.integration.embedded import Embedded

OBSERVATIONS = "/apis/zen.kube-zen.io/v1alpha1/observations"


def test_the_kubeconfig_is_private_and_leads_to_it(embedded: Embedded) -> None:
    async def ask() -> tuple[int, int]:
        buckets = [RateLimiter(clock=time.monotonic_ns) for _ in range(2)]
        access = Access.from_kubeconfig(str(embedded.kubeconfig))
        async with Session(
            access, reads=buckets[0], writes=buckets[1], user_agent="tests"
        ) as session:
            listed = await session.request("GET", OBSERVATIONS, verb="list")
            version = await session.request("GET", "/version", verb="get")
        return listed.status, version.status

    assert asyncio.run(ask()) == (200, 200)
    assert embedded.kubeconfig.stat().st_mode & 0o777 == 0o600


def test_what_it_prints_is_no_secret_and_how_to_connect(embedded: Embedded) -> None:
    said = embedded.log.read_text()

    assert embedded.way.token not in said
    assert f"export KUBECONFIG={embedded.kubeconfig}" in said
    assert embedded.way.url in said


def test_a_request_without_the_token_is_refused(embedded: Embedded) -> None:
    way = embedded.way
    stranger = Api(way.url, ca_file=way.ca_file, token=way.token[::-1])

    assert stranger.request("GET", OBSERVATIONS).status == 401
    assert stranger.request("POST", "/debug/forget-history").status == 401


def test_the_definitions_are_installed(embedded: Embedded) -> None:
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    names = {one["metadata"]["name"] for one in embedded.api().need("GET", path)["items"]}

    assert names >= {
        *(one["metadata"]["name"] for one in manifests()),
        "vulnerabilityreports.aquasecurity.github.io",
        "policyreports.wgpolicyk8s.io",
    }


def test_a_forgotten_history_expires_every_older_version(
    embedded: Embedded, namespace: str
) -> None:
    api = embedded.api()
    generator = Generator(api, namespace)
    generator.widget("w", 1)
    before = api.need("GET", generator.path)["metadata"]["resourceVersion"]
    generator.widget("w", 2)
    watch = f"{generator.path}?watch=1&timeoutSeconds=1&resourceVersion="
    seen = api.request("GET", watch + before)
    assert seen.status == 200
    assert msgspec.json.decode(seen.body.splitlines()[0])["object"]["data"] == {"value": 2}
    embedded.forget_history()

    expired = api.request("GET", watch + before)
    told = msgspec.json.decode(expired.body.splitlines()[0])
    status = told if expired.status == 410 else told["object"]
    assert (status["code"], status["reason"]) == (410, "Expired")
    now = api.need("GET", generator.path)["metadata"]["resourceVersion"]
    assert api.request("GET", watch + now).status == 200


@pytest.mark.parametrize("number", [Signals.SIGTERM, Signals.SIGINT])
def test_a_signal_ends_it_and_it_leaves_nothing(tmp_path: Path, number: Signals) -> None:
    with Embedded(tmp_path) as started:
        (path,) = re.findall(r"export KUBECONFIG=(\S+)", started.log.read_text())
        assert path == str(tmp_path / "kubeconfig")
        assert started.kubeconfig.is_file()
        started.stop(number)
        assert not started.kubeconfig.exists()
    assert "Traceback" not in started.log.read_text()


def test_a_kubeconfig_that_another_wrote_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("apiVersion: v1\n")
    command = [sys.executable, "-m", "streams", "apiserver", "--write-kubeconfig", str(path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr == (
        f"error: --write-kubeconfig {path} exists, and zen-streams apiserver did not write it, or it"
        " was edited since: remove it, or name another file\n"
    )
    assert path.read_text() == "apiVersion: v1\n"
