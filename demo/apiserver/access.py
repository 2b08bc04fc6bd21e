"""Who asks, and what they may: bearer tokens, and a fixed table of rules in the place of RBAC."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from demo.apiserver.answers import RefusedError, forbidden, unauthorized
from demo.apiserver.calls import Place

ANY = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is allowed: verbs on resources (`pods`, `pods/log`) of groups, in some namespaces or in all."""

    verbs: frozenset[str]
    groups: frozenset[str]
    resources: frozenset[str]
    namespaces: frozenset[str] = frozenset({ANY})

    def allows(self, wanted: Wanted) -> bool:
        """Whether it allows this."""
        return (
            _holds(self.verbs, wanted.verb)
            and _holds(self.groups, wanted.group)
            and _holds(self.resources, wanted.resource)
            and _holds(self.namespaces, wanted.namespace)
        )


def _holds(allowed: frozenset[str], value: str) -> bool:
    return ANY in allowed or value in allowed


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants to do; without a namespace it is all of them."""

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a token; `rules` is None for who may do everything."""

    name: str
    token: str
    rules: tuple[Rule, ...] | None = ()
    groups: tuple[str, ...] = ("system:authenticated",)

    def may(self, wanted: Wanted) -> bool:
        """Whether a rule allows it, or everybody may."""
        if self.rules is None or _EVERYBODY.allows(wanted):
            return True
        return any(rule.allows(wanted) for rule in self.rules)


_EVERYBODY = Rule(
    frozenset({"create"}),
    frozenset({"authorization.k8s.io"}),
    frozenset({"selfsubjectaccessreviews"}),
)

PUBLIC_PATHS = ("/version", "/livez", "/readyz", "/healthz", "/api", "/apis", "/openapi")
"""What everybody may read who has a token, as `system:discovery` allows it."""


class Access:
    """The users by token."""

    def __init__(self, users: Iterable[User]) -> None:
        self._users = {user.token.encode(): user for user in users}

    def user(self, authorization: str) -> User:
        """Whose request it is; raises RefusedError (401)."""
        scheme, _, token = authorization.partition(" ")
        given = token.strip().encode()
        for held, user in self._users.items():
            if scheme.lower() == "bearer" and hmac.compare_digest(held, given):
                return user
        raise unauthorized()


def check(user: User, at: Place, *, verb: str) -> None:
    """Raise RefusedError (403) unless the user may do this there."""
    resource = f"{at.resource}/{at.subresource}" if at.subresource else at.resource
    wanted = Wanted(verb, at.group, resource, at.namespace, at.name)
    if not user.may(wanted):
        raise _denied(user, at, wanted)


def check_path(user: User, path: str, *, verb: str) -> None:
    """Raise RefusedError (403) unless the user may do this to a path that is no resource."""
    public = any(path == one or path.startswith(f"{one}/") for one in PUBLIC_PATHS)
    if user.rules is not None and not (public and verb == "get"):
        raise forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"', details={})


def _denied(user: User, at: Place, wanted: Wanted) -> RefusedError:
    qualified = f"{at.resource}.{at.group}" if at.group else at.resource
    what = f'{qualified} "{at.name}"' if at.name else qualified
    where = f'in the namespace "{at.namespace}"' if at.namespace else "at the cluster scope"
    return forbidden(
        f'{what} is forbidden: User "{user.name}" cannot {wanted.verb} resource "{wanted.resource}" '
        f'in API group "{at.group}" {where}',
        details=(
            ({"name": at.name} if at.name else {})
            | ({"group": at.group} if at.group else {})
            | {"kind": at.resource}
        ),
    )
