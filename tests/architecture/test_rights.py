"""The Ingesters that are shipped, and the rights that go with them: enough for the code, and none too many."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from operators.model.identity import IngesterKey
from streams.cluster.observations import Observations
from streams.cluster.response import Response
from streams.cluster.session import Session
from streams.config.load import load
from streams.config.plan import plan
from tests.kit.shipped import DEPLOY, documents, rights

EXAMPLES = sorted((DEPLOY / "examples").iterdir())
RIGHTS = sorted((DEPLOY / "rbac").iterdir())
READING = {"get", "list", "watch"}
ACCOUNT = {"kind": "ServiceAccount", "name": "zen-streams", "namespace": "zen-system"}


def named(file: Path) -> str:
    return file.name


@pytest.mark.parametrize("file", EXAMPLES, ids=named)
def test_an_example_has_nothing_that_does_nothing(file: Path) -> None:
    loaded = load([file], default_namespace="default")

    assert loaded.findings == ()
    assert [one.runnable for one in loaded.ingesters] == [True]


@pytest.mark.parametrize("file", EXAMPLES, ids=named)
def test_what_an_example_reads_may_be_read_and_nothing_else(file: Path) -> None:
    (read,) = map(plan, load([file], default_namespace="default").ingesters)

    gvr = read.source.watched
    granted = rights(documents(DEPLOY / "rbac" / file.name))

    assert granted == {(gvr.group, gvr.resource, verb) for verb in READING}


def test_observations_are_the_only_thing_that_is_written() -> None:
    every = [one for file in RIGHTS for one in documents(file)]
    written = {right for right in rights(every) if right[2] not in READING}

    assert {file.name for file in RIGHTS} - {file.name for file in EXAMPLES} == {
        "observations.yaml"
    }
    assert {right[:2] for right in written} == {("zen.kube-zen.io", "observations")}


class Recorder:
    """A session that answers everything with an empty list, and remembers what was asked for."""

    def __init__(self) -> None:
        self.verbs: set[str] = set()

    async def request(self, _method: str, _path: str, *, verb: str, **_: object) -> Response:
        self.verbs |= {"create", "patch"} if verb == "apply" else {verb}
        return Response(200, {}, b'{"metadata": {}, "items": []}')


def test_an_observation_may_be_treated_as_the_code_does_and_not_otherwise() -> None:
    recorder = Recorder()
    observations = Observations(cast("Session", recorder))

    async def ask() -> None:
        await observations.apply("n", "o", body=b"{}")
        await observations.read("n", "o")
        await observations.delete("n", "o")
        assert [one async for one in observations.list_of(IngesterKey("n", "i"))] == []

    asyncio.run(ask())

    asked = {name for name in vars(Observations) if not name.startswith("_")}
    assert asked == {"apply", "read", "delete", "list_of"}
    granted = rights(documents(DEPLOY / "rbac" / "observations.yaml"))
    assert granted == {("zen.kube-zen.io", "observations", verb) for verb in recorder.verbs}


@pytest.mark.parametrize("file", RIGHTS, ids=named)
def test_a_right_is_given_by_name_and_to_one_account(file: Path) -> None:
    role, binding = documents(file)

    assert (role["kind"], binding["kind"]) == ("ClusterRole", "ClusterRoleBinding")
    assert [set(rule) for rule in role["rules"]] == [{"apiGroups", "resources", "verbs"}]
    words = {word for right in rights([role]) for word in right}
    assert words.isdisjoint({"*", "secrets", "bind", "escalate", "impersonate"})
    assert binding["subjects"] == [ACCOUNT]
    assert binding["roleRef"]["name"] == role["metadata"]["name"] == f"zen-streams-{file.stem}"
