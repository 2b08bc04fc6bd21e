"""What is read from kubeconfigs, and what is said of one that is wrong: no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.cluster.access import Access
from streams.cluster.errors import ConfigurationError
from streams.cluster.kubeconfig import Kubeconfig
from tests.unit.streams.cluster.servers import kubeconfig

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = (
    "{current-context: x, contexts: [{name: x, context: {cluster: c}}],"
    " clusters: [{name: c, cluster:"
)


def test_the_namespace_is_the_contexts_or_default(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "a", "https://a", namespace="team")
    assert Access.from_kubeconfig(path).namespace == "team"
    path = kubeconfig(tmp_path / "a", "https://a/")
    access = Access.from_kubeconfig(path)
    assert (access.namespace, access.server) == ("default", "https://a")


def test_of_several_files_the_first_one_wins(tmp_path: Path) -> None:
    first = kubeconfig(tmp_path / "first", "https://first", name="one")
    second = kubeconfig(tmp_path / "second", "https://second", name="two")
    again = kubeconfig(tmp_path / "again", "https://again", name="one")
    paths = f"{first}:{second}:{again}"
    assert Kubeconfig(paths).server == "https://first"
    assert Kubeconfig(f"{first}:{second}").server == "https://first"
    assert Kubeconfig(paths, context="two").server == "https://second"


def test_paths_are_meant_from_the_file_they_stand_in(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    path = kubeconfig(
        tmp_path / "deep" / "config",
        "https://a",
        user={"tokenFile": "token", "client-key": "/abs/key"},
        cluster={"certificate-authority": "pki/ca.crt"},
    )
    deep = tmp_path / "deep"
    assert [str(file) for file in Kubeconfig(path).files] == [
        str(deep / "pki/ca.crt"),
        str(deep / "token"),
        "/abs/key",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "empty"),
        ("{", "not a kubeconfig"),
        ("[]", "not a kubeconfig"),
        ("token: s3cret", "no current-context is set; no context is defined"),
        ("current-context: x", "there is no context 'x'"),
        ("contexts: [{name: a}, {name: b}]", "; contexts: a, b"),
        ("{current-context: 7}", "Expected `str | null`, got `int` - at `$.current-context`"),
        (
            "{current-context: x, contexts: [{name: x, context: {cluster: c}}]}",
            "the cluster 'c' of context 'x' is not there",
        ),
        (
            f"{CONTEXT} {{server: 'localhost:6443'}}}}]}}",
            "'c': server: allowed is http",
        ),
        (
            f"{CONTEXT} {{server: 'https://me:s3cret@host'}}}}]}}",
            "'c': server: allowed is http",
        ),
        (
            f"{CONTEXT} {{server: 'https://a', proxy-url: 'socks5://s3cret@b'}}}}]}}",
            "'c': proxy-url: allowed is http",
        ),
        ("users: [{user: {token: s3cret}}]", "required field `name` - at `$.users[0]`"),
        ("users: [{name: a, user: {token: s3cret}}, s3cret]", "not a kubeconfig"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_without_secrets(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        Kubeconfig(str(path))
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"token": "s3cret\nX-Other: header"}, "no header can carry"),
        ({"tokenFile": "missing"}, "missing: No such file"),
        ({"client-certificate-data": "s3cret"}, "-data is not base64"),
        ({"auth-provider": {"name": "oidc", "config": {"client-secret": "s3cret"}}}, "id-token"),
        ({"exec": {"env": [{"name": "a", "value": "s3cret"}]}}, "command"),
    ],
)
def test_a_user_that_is_wrong_gives_no_secret_away(
    tmp_path: Path, user: dict[str, object], expected: str
) -> None:
    path = kubeconfig(tmp_path / "config", "https://a", user=user)
    with pytest.raises(Exception, match="config") as caught:
        Kubeconfig(path).load()
    assert expected in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None or "s3cret" not in repr(caught.value.__cause__)
