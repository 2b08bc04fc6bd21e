"""Authentication by bearer tokens, authorization by a fixed table of rules, SelfSubjectAccessReviews."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from demo.apiserver.documents import Object, as_object
from demo.apiserver.errors import StatusError, forbidden, unauthorized, unprocessable
from demo.apiserver.requests import RequestPath
from demo.apiserver.validation import invalid

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """Allowed verbs on resources (`pods`, `pods/log`) of groups, in some or all namespaces."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str] = frozenset({ANY})

    def allows(self, attributes: Attributes) -> bool:
        """Return whether the rule allows the request."""
        return (
            _holds(self.verbs, attributes.verb)
            and _holds(self.groups, attributes.group)
            and _holds(self.resources, attributes.resource)
            and _holds(self.namespaces, attributes.namespace)
        )


def _holds(allowed: frozenset[str], value: str) -> bool:
    return ANY in allowed or value in allowed


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a request (authorizer.Attributes); namespace "" stands for all of them."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """A user with a token; `rules` None allows everything."""

    name: str
    token: str
    rules: tuple[Rule, ...] | None = ()
    groups: tuple[str, ...] = ("system:authenticated",)

    def may(self, attributes: Attributes) -> bool:
        """Return whether a rule of the user, or the rule of all users, allows the request."""
        if self.rules is None or _ALL_USERS.allows(attributes):
            return True
        return any(rule.allows(attributes) for rule in self.rules)


_ALL_USERS = Rule(
    frozenset({"create"}),
    frozenset({"authorization.k8s.io"}),
    frozenset({"selfsubjectaccessreviews"}),
)

PUBLIC_PATHS = ("/version", "/livez", "/readyz", "/healthz", "/api", "/apis", "/openapi")
"""Paths that every authenticated user may read, as the ClusterRole `system:discovery` allows."""


class Access:
    """The users, by token."""

    def __init__(self, users: Iterable[User]) -> None:
        self._users = {user.token.encode(): user for user in users}

    def user(self, authorization: str) -> User:
        """Authenticate a request. Raises StatusError (401)."""
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        for held, user in self._users.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(held, given):
                return user
        raise unauthorized()


def authorize(user: User, at: RequestPath, *, verb: str) -> None:
    """Authorize a resource request. Raises StatusError (403)."""
    resource = f"{at.resource}/{at.subresource}" if at.subresource else at.resource
    attributes = Attributes(verb, at.group, resource, at.namespace, at.name)
    if not user.may(attributes):
        raise _denied(user, at, attributes)


def authorize_path(user: User, path: str, *, verb: str) -> None:
    """Authorize a request for a non-resource path. Raises StatusError (403)."""
    public = any(path == one or path.startswith(f"{one}/") for one in PUBLIC_PATHS)
    if user.rules is not None and not (public and verb == "get"):
        raise forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"', details={})


def _denied(user: User, at: RequestPath, attributes: Attributes) -> StatusError:
    qualified = f"{at.resource}.{at.group}" if at.group else at.resource
    what = f'{qualified} "{at.name}"' if at.name else qualified
    where = f'in the namespace "{at.namespace}"' if at.namespace else "at the cluster scope"
    return forbidden(
        f'{what} is forbidden: User "{user.name}" cannot {attributes.verb} resource "{attributes.resource}" '
        f'in API group "{at.group}" {where}',
        details=(
            ({"name": at.name} if at.name else {})
            | ({"group": at.group} if at.group else {})
            | {"kind": at.resource}
        ),
    )


REVIEW_KIND = "SelfSubjectAccessReview"


def review_access(review: Object, user: User) -> Object:
    """Return the review with its status. Raises StatusError (422) unless it has exactly one kind of attributes."""
    spec = as_object(review.get("spec")) or {}
    resource = as_object(spec.get("resourceAttributes"))
    path = as_object(spec.get("nonResourceAttributes"))
    if (resource is None) is (path is None):
        words = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        raise unprocessable("", "authorization.k8s.io", "", [invalid("spec", None, words)])
    allowed = _may(user, resource) if resource is not None else _may_path(user, path or {})
    return {
        "kind": REVIEW_KIND,
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
        Attributes(
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
