"""deploy/ on a genuine cluster with controllers, and its pod's own command as its service account.

The node fakes its pods, so that the Deployment's rolling out proves the objects alone; what would run
in the pod is run beside the cluster, with the pod's own arguments, files, token and confinement.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import yaml

from sinks.stored import TRACE_ANNOTATION
from tests.cluster import sandbox
from tests.cluster.deployed import (
    FOREIGN,
    MERGE,
    OBSERVATIONS,
    SOURCES,
    WORK,
    Deployed,
    definition,
    make,
    rolled_out,
)
from tests.cluster.loop_thread import LoopThread
from tests.cluster.pod import ContainedProduct, built
from tests.cluster.processes import wait_until
from tests.cluster.product import ingester
from tests.cluster.prometheus import Prometheus
from tests.kit.otlp import LoopbackCollector
from tests.kit.shipped import DEPLOY, documents, opted_in, resources, rights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.cluster import Cluster

ACCOUNT = "system:serviceaccount:zen-system:zen-streams"
NARROW = "narrow-"
"""How the sources of the second process begin, which sends no traces."""


@pytest.fixture(scope="module")
def collector() -> Iterator[LoopbackCollector]:
    with LoopThread("collector") as loop:
        started = LoopbackCollector()
        loop.run(started.__aenter__())
        yield started
        loop.run(started.stop())


@pytest.fixture(scope="module")
def deployed(
    whole_cluster: Cluster, collector: LoopbackCollector, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    """Everything that deploy/ offers, rolled out, and its process at work on one object of each kind."""
    reason = sandbox.unavailable()
    if reason is not None:
        pytest.skip(f"no container can be imitated here: {reason}")
    folder = tmp_path_factory.mktemp("deployed")
    whole_cluster.apply(*map(definition, FOREIGN))
    pod = rolled_out(whole_cluster, opted_in(folder))
    app = built(folder)
    api = whole_cluster.api()
    api.need("POST", "/api/v1/namespaces", body={"metadata": {"name": WORK}})
    with ContainedProduct(
        folder / "first", app=app, cluster=whole_cluster, pod=pod, collector=collector.endpoint
    ) as product:
        product.ready()
        found = Deployed(whole_cluster, folder, app, pod, product, collector)
        make(api, "first")
        for source in SOURCES:
            wait_until(lambda of=source: bool(found.observed(of, "first")), seconds=30, what=source)
        yield found
        assert product.stop() == 0, product.tail()


def test_the_default_is_taken_strictly_and_rolls_out(whole_cluster: Cluster) -> None:
    pod = rolled_out(whole_cluster, DEPLOY)

    again = ("apply", "--dry-run=server", "--validate=strict", "-k", str(DEPLOY))
    told = whole_cluster.kubectl(*again).splitlines()
    assert len(told) == len(resources()) + 1
    assert whole_cluster.kubectl("diff", "-k", str(DEPLOY)) == ""
    conditions = {one["type"]: one["status"] for one in pod["status"]["conditions"]}
    assert conditions["Ready"] == "True"


def test_it_runs_as_nobody_on_a_file_system_that_takes_nothing(deployed: Deployed) -> None:
    process = deployed.product.process
    assert process is not None
    told = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in told)}

    assert set(status["Uid"]) == set(status["Gid"]) == {"65532"}
    assert status["Groups"] == []
    assert {int(status[name][0], 16) for name in ("CapPrm", "CapEff", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == ["1"]
    root = Path(f"/proc/{process.pid}/root")
    for place in ("/", "/app", "/etc/zen-streams/ingesters"):
        assert os.statvfs(f"{root}{place}").f_flag & os.ST_RDONLY, place
    assert not (root / Path(__file__).relative_to("/")).exists()


def test_its_traces_name_the_pod_and_its_observations_their_traces(deployed: Deployed) -> None:
    metadata, name = deployed.pod["metadata"], OBSERVATIONS
    annotations = [
        one["metadata"]["annotations"]
        for one in deployed.api.need("GET", name)["items"]
        if not one["spec"]["source"].startswith(NARROW)
    ]
    wanted = {one[TRACE_ANNOTATION].split("-")[1] for one in annotations}
    wait_until(
        lambda: wanted <= set(deployed.collector.traces), seconds=30, what="the traces of all"
    )

    resource = deployed.collector.resource
    assert wanted != set()
    assert resource["service.instance.id"] == resource["k8s.pod.uid"] == metadata["uid"]
    assert resource["k8s.pod.name"] == metadata["name"]
    assert resource["k8s.namespace.name"] == metadata["namespace"]


def test_every_right_is_used_and_none_is_missing(deployed: Deployed) -> None:
    api, core = deployed.api, f"/api/v1/namespaces/{WORK}"
    make(api, "second")
    for source in SOURCES:
        wait_until(lambda of=source: bool(deployed.observed(of, "second")), seconds=30, what=source)
    out = {"status": {"phase": "Succeeded"}}
    api.need("PATCH", f"{core}/pods/second/status", body=out, content_type=MERGE)
    api.need("DELETE", f"{core}/configmaps/second")
    wait_until(
        lambda: "resolvedAt" in deployed.observed("pods", "second")[0],
        seconds=30,
        what="the pod's Observation to be resolved",
    )
    wait_until(
        lambda: deployed.observed("configmaps", "second") == [],
        seconds=30,
        what="the ConfigMap's Observation to be gone",
    )
    read_without_room(deployed)

    answers = [
        (event, event["responseStatus"]["code"])
        for event in deployed.cluster.audit()
        if event["user"]["username"] == ACCOUNT
    ]
    assert {code for _, code in answers if code in {401, 403}} == set()
    used = {
        (of.get("apiGroup", ""), of["resource"], verb)
        for event, code in answers
        if (of := event.get("objectRef"))
        for verb in ({event["verb"], "create"} if code == 201 else {event["verb"]})
    }
    granted = rights(resources(deployed.folder / "deploy"))
    assert granted - used == set()
    assert used - granted == set()


def read_without_room(deployed: Deployed) -> None:
    """Have the account's rights to single objects used: what finds no room is read again one by one."""
    make(deployed.api, "third")
    documents_folder = deployed.folder / "narrow"
    documents_folder.mkdir()
    kinds = {"events": ("", "v1"), **{name: FOREIGN[name][:2] for name in list(FOREIGN)[:2]}}
    for resource, (group, version) in kinds.items():
        document = ingester(
            f"{NARROW}{resource}",
            WORK,
            resource=resource,
            group=group,
            version=version,
            buffer={"capacity": 1},
        )
        (documents_folder / f"{resource}.yaml").write_text(yaml.safe_dump(document))
    narrow = ContainedProduct(
        deployed.folder / "second",
        app=deployed.app,
        cluster=deployed.cluster,
        pod=deployed.pod,
        documents=documents_folder,
    )
    with narrow:
        narrow.ready()
        narrow.quiet()
        assert narrow.total("zenstreams_source_read_total", what="gets") >= len(kinds)
        assert narrow.stop() == 0


def test_every_panel_and_every_alert_has_its_answer(deployed: Deployed, tmp_path: Path) -> None:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no prometheus on PATH, which scrapes the product")
    (rules,) = documents(DEPLOY / "monitoring" / "alerts.yaml")
    address = deployed.product.address
    with Prometheus(program, tmp_path, address=address, rules=rules["spec"]) as prometheus:
        for title, expressions in panels():
            wait_until(
                lambda of=expressions: any(map(prometheus.series, of)),
                seconds=30,
                what=f"{title}: {prometheus.tail()}",
            )
        wait_until(
            lambda: {one["health"] for one in prometheus.alerts()} == {"ok"},
            seconds=30,
            what="the rules",
        )
        assert [one["name"] for one in prometheus.alerts() if one["state"] == "firing"] == []


def panels() -> list[tuple[str, list[str]]]:
    """Every panel's title, and its expressions with Grafana's variables filled in."""
    file = DEPLOY / "monitoring" / "dashboards" / "zen-streams.json"
    text = file.read_text().replace("$ingester", ".*").replace("$__rate_interval", "10s")
    found = msgspec.json.decode(text)["panels"]
    return [(one["title"], [target["expr"] for target in one["targets"]]) for one in found]
