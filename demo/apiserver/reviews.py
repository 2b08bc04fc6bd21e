"""SelfSubjectAccessReviews: may I?"""

from __future__ import annotations

from demo.apiserver.access import PUBLIC_PATHS, User, Wanted
from demo.apiserver.answers import unprocessable
from demo.apiserver.causes import invalid
from demo.apiserver.documents import Object, as_object

KIND = "SelfSubjectAccessReview"


def reviewed(review: Object, user: User) -> Object:
    """The review with its answer; raises RefusedError (422) unless it asks exactly one thing."""
    spec = as_object(review.get("spec")) or {}
    resource = as_object(spec.get("resourceAttributes"))
    path = as_object(spec.get("nonResourceAttributes"))
    if (resource is None) is (path is None):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise unprocessable("", "authorization.k8s.io", "", [invalid("spec", None, words)])
    allowed = _may(user, resource) if resource is not None else _may_path(user, path or {})
    return {
        "kind": KIND,
        "apiVersion": "authorization.k8s.io/v1",
        "metadata": {},
        "spec": spec,
        "status": {"allowed": allowed},
    }


def _may(user: User, attributes: Object) -> bool:
    named = {name: str(it) for name, it in attributes.items() if isinstance(it, str)}
    subresource = named.get("subresource", "")
    resource = named.get("resource", "")
    return user.may(
        Wanted(
            named.get("verb", ""),
            named.get("group", ""),
            f"{resource}/{subresource}" if subresource else resource,
            named.get("namespace", ""),
            named.get("name", ""),
        )
    )


def _may_path(user: User, attributes: Object) -> bool:
    path = str(attributes.get("path") or "")
    public = any(path == one or path.startswith(f"{one}/") for one in PUBLIC_PATHS)
    return user.rules is None or (public and attributes.get("verb") == "get")
