"""Random walks of applies, updates and patches: a server must do what `demo.apiserver` says it does.

On a genuine server this proves the embedded one's rules right, field by field and owner by owner; on the
embedded one, that they are what it goes by.
"""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from demo.apiserver.apply import ConflictError, server_side_apply, track_update
from demo.apiserver.patches import merge_patched
from demo.apiserver.schema import apply_defaults, prune, violations
from tests.cluster.api import Answer, Api
from tests.contract.api.things import MERGE, Fields, apply, establish_things, path, told
from tests.kit.things import SCHEMA, thing

STEPS = 60
VERSION = "example.com/v1"
Outcome = Fields | ConflictError | set[tuple[str, str, str]]
"""What there is afterwards, or why it is refused."""


class Walk:
    """One object, a server's and the model's, and a chance that decides what happens to it."""

    def __init__(self, api: Api, where: str, *, seed: int) -> None:
        self.chance = Random(seed)
        self.reached = Counter[str]()
        self._api = api
        self._where = where
        self._live: Fields | None = None
        self._at_server: Fields = {}
        self._now = 0

    def step(self) -> None:
        """Let something happen to both, and compare."""
        doings = [self._apply] if self._live is None else [self._apply] * 6 + [self._put]
        if self._live is not None:
            doings += [self._patch, self._status]
        self._now += 1
        name, answer, outcome = self.chance.choice(doings)()
        self._compare(answer, outcome)
        self.reached[f"{name} {answer.status}"] += 1

    def _compare(self, answer: Answer, outcome: Outcome) -> None:
        if isinstance(outcome, ConflictError):
            assert (answer.status, answer.json()["message"]) == (409, str(outcome))
            assert told(answer) == {(it.field, it.reason, it.message) for it in outcome.causes}
        elif isinstance(outcome, set):
            assert answer.status == 422
            assert told(answer) == outcome
        else:
            assert answer.status in (200, 201), answer.body
            self._live, self._at_server = outcome, answer.json()
            assert comparable(self._at_server) == comparable(outcome)

    def _how(self) -> dict[str, Any]:
        now = f"2026-11-26T08:00:00Z#{self._now:04}"
        return {
            "manager": self.chance.choice("abc"),
            "now": now,
            "api_version": VERSION,
            "schema": SCHEMA,
        }

    def _judged(self, after: Fields) -> Outcome:
        after = apply_defaults(SCHEMA, after)
        wrong = violations(SCHEMA, after, old=self._live)
        return {(one.field, one.reason, one.message) for one in wrong} or after

    def _apply(self) -> tuple[str, Answer, Outcome]:
        how, force, wanted = self._how(), self.chance.random() < 0.5, self._wanted()
        answer = apply(self._api, self._where, wanted, manager=how["manager"], force=force)
        try:
            after = server_side_apply(self._live, wanted, force=force, **how)
        except ConflictError as conflict:
            return "apply", answer, conflict
        return "apply", answer, self._judged(self._with_status(after))

    def _with_status(self, after: Fields) -> Fields:
        """What the main endpoint leaves: the status that was there."""
        rest = {name: value for name, value in after.items() if name != "status"}
        status = (self._live or {}).get("status")
        return rest if status is None else rest | {"status": status}

    def _put(self) -> tuple[str, Answer, Outcome]:
        how, wanted = self._how(), self._wanted()
        version = self._at_server["metadata"]["resourceVersion"]
        body = wanted | {"metadata": wanted["metadata"] | {"resourceVersion": version}}
        where = f"{self._where}?fieldManager={how['manager']}"
        answer = self._api.request("PUT", where, body=body)
        return "put", answer, self._updated(prune(SCHEMA, wanted), how)

    def _patch(self) -> tuple[str, Answer, Outcome]:
        how, wanted = self._how(), self._wanted()
        spec = {
            name: value if self.chance.random() < 0.7 else None
            for name, value in wanted["spec"].items()
        }
        where = f"{self._where}?fieldManager={how['manager']}"
        patch = {"spec": spec}
        answer = self._api.request("PATCH", where, body=patch, content_type=MERGE)
        after = merge_patched(self._live, patch)
        return "patch", answer, self._updated(prune(SCHEMA, after), how)

    def _updated(self, after: Fields, how: dict[str, Any]) -> Outcome:
        judged = self._judged(self._with_status(after))
        if isinstance(judged, set):
            return judged
        assert not isinstance(judged, ConflictError)
        return track_update(self._live, judged, **how)

    def _status(self) -> tuple[str, Answer, Outcome]:
        how, said = self._how(), {"s": self.chance.randint(0, 3)}
        wanted = thing({}) | {"status": said}
        del wanted["spec"]
        where = f"{self._where}/status"
        answer = apply(self._api, where, wanted, manager=how["manager"], force=True)
        return (
            "status",
            answer,
            server_side_apply(self._live, wanted, force=True, subresource="status", **how),
        )

    def _wanted(self) -> Fields:
        """A Thing with some of what a Thing may have."""
        chance = self.chance
        elements = [{"name": name, "v": chance.randint(0, 1)} for name in self._some("klmno")]
        frees: list[Fields] = [{}, {"a": 1}, {"a": {"b": 1}}, {"a": {"b": {}}}, {"a": [1]}]
        deeps: list[Fields] = [{}, {"a": {}}, {"a": {"b": "q"}}, {"c": {"d": 1}}]
        may_have: Fields = {
            "str": chance.choice(["ab", "cd"]),
            "arr": self._some("ab") or ["a"],
            "set": self._some("pqrst"),
            "map": [one if one["v"] else {"name": one["name"]} for one in elements],
            "obj": {name: chance.randint(0, 1) for name in self._some("ab") or ["a"]},
            "free": chance.choice(frees),
            "deep": chance.choice(deeps),
            "null": None,
        }
        spec = {name: value for name, value in may_have.items() if chance.random() < 0.45}
        metadata: Fields = {"name": "one"}
        if chance.random() < 0.3:
            metadata["labels"] = {name: chance.choice("12") for name in self._some("ab")}
        wanted = thing({"need": chance.choice("xy")} | spec) | {"metadata": metadata}
        return wanted | ({"status": {"s": 9}} if chance.random() < 0.2 else {})

    def _some(self, names: str) -> list[str]:
        return self.chance.sample(names, self.chance.randint(0, len(names)))


def comparable(obj: Fields) -> Fields:
    """What must be equal: all but identity and times; of an owner's time, whether it has one."""
    metadata = obj["metadata"]
    owners = {
        (one["manager"], one["operation"], one.get("subresource")): (one["fieldsV1"], "time" in one)
        for one in metadata.get("managedFields", [])
    }
    return {
        "spec": obj.get("spec"),
        "status": obj.get("status"),
        "labels": metadata.get("labels"),
        "owners": owners,
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_a_server_goes_where_the_rules_lead(api: Api, namespace: str, seed: int) -> None:
    establish_things(api)
    walk = Walk(api, path(namespace, "one"), seed=seed)

    for _ in range(STEPS):
        walk.step()

    print(dict(walk.reached))
    assert walk.reached["apply 200"] > STEPS / 6
    assert walk.reached["apply 409"] > STEPS / 12
    assert {"put 200", "patch 200", "status 200"} <= set(walk.reached)
