"""The Things of `tests/kit/things` on a server: their definition, and how to ask for them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from tests.cluster.api import Answer, Api
from tests.cluster.processes import wait_until
from tests.kit.things import GROUP, definition

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
SERVED_SECONDS = 30.0

Fields = dict[str, Any]


def path(namespace: str, name: str = "") -> str:
    """Where Things are, or one of them."""
    return f"/apis/{GROUP}/v1/namespaces/{namespace}/things" + (f"/{name}" if name else "")


def establish(api: Api, crd: Fields) -> None:
    """Make a definition if it is not there, and wait until what it defines is served."""
    answer = api.request("POST", CRDS, body=crd)
    assert answer.status in (HTTPStatus.CREATED, HTTPStatus.CONFLICT), answer.body
    spec = crd["spec"]
    where = [
        f"/apis/{spec['group']}/{version['name']}/{spec['names']['plural']}"
        for version in spec["versions"]
        if version["served"]
    ]

    def served() -> bool:
        return all(api.request("GET", one).status == HTTPStatus.OK for one in where)

    wait_until(served, seconds=SERVED_SECONDS, what=f"{spec['names']['plural']} to be served")


def establish_things(api: Api) -> None:
    """Serve Things."""
    establish(api, definition())


def apply(
    api: Api, where: str, body: object, *, manager: str, force: bool = False, query: str = ""
) -> Answer:
    """Apply on the server's side."""
    forced = "&force=true" if force else ""
    return api.request(
        "PATCH",
        f"{where}?fieldManager={manager}{forced}{query}",
        body=body,
        content_type=APPLY,
    )


def told(answer: Answer) -> set[tuple[str, str, str]]:
    """The causes of a Status, as (field, reason, message); their order is chance."""
    causes = answer.json()["details"]["causes"]
    return {(one["field"], one["reason"], one["message"]) for one in causes}


def owners(obj: Fields) -> dict[str, Fields]:
    """Who owns what, by manager and operation."""
    entries = obj["metadata"].get("managedFields", [])
    return {
        " ".join(filter(None, (one["manager"], one["operation"], one.get("subresource")))): one[
            "fieldsV1"
        ]
        for one in entries
    }
