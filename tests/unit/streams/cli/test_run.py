from __future__ import annotations

import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
import typer
from typer.testing import CliRunner, Result

import streams.runtime.app
from streams.cli.main import app
from streams.cli.run import address
from streams.cluster.errors import ConfigurationError
from streams.runtime.health import ListenError
from streams.runtime.settings import Settings

if TYPE_CHECKING:
    from streams.config.plan import Plan

ROOT = Path(__file__).parents[4]

INGESTER = """\
apiVersion: zen.kube-zen.io/v1alpha1
kind: Ingester
metadata:
  name: {name}
spec:
  source: {name}
  ingester: informer
  informer:
    gvr: {{group: "", version: v1, resource: configmaps}}
  destinations:
  - type: crd
    value: observations
"""
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts:
- name: here
  context: {{cluster: here, user: me, namespace: from-context}}
clusters:
- name: here
  cluster: {{server: "http://127.0.0.1:{port}"}}
users:
- name: me
  user: {{token: a-token}}
"""


class Served:
    """Replaces the runtime: records what it is to serve, and ends as a test sets it."""

    def __init__(self, end: int | Exception = 0) -> None:
        self.end = end
        self.calls: list[tuple[list[Plan], Settings]] = []

    def __call__(self, plans: Sequence[Plan], settings: Settings) -> int:
        self.calls.append((list(plans), settings))
        if isinstance(self.end, Exception):
            raise self.end
        return self.end


def unconfigured(**_: object) -> None:
    """Leave pytest's own log handlers where they are."""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    double = Served()
    monkeypatch.setattr(streams.runtime.app, "serve", double)
    monkeypatch.setattr("streams.observability.logs.configure", unconfigured)
    return double


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    file = tmp_path / "kubeconfig"
    file.write_text(KUBECONFIG.format(port=9))
    return file


def written(folder: Path, *names: str, wrong: bool = False) -> Path:
    folder = folder / "ingesters"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.yaml").write_text(INGESTER.format(name=name))
    if wrong:
        text = INGESTER.format(name="wrong").replace("source: wrong", "source: Wrong!")
        (folder / "wrong.yaml").write_text(text)
    return folder


def invoked(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["run", *map(str, arguments)])


def test_documents_become_plans_and_options_settings(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    folder = written(tmp_path, "a", "b")
    options = "--grace 7 --listen [::1]:0 --qps 50 --burst 100 --write-qps 20.5 --write-burst 40"

    ended = invoked("-f", folder, "--kubeconfig", kubeconfig, "--context", "here", *options.split())

    assert ended.exit_code == 0, ended.output
    ((plans, settings),) = served.calls
    assert [(plan.identity.namespace, plan.identity.name) for plan in plans] == [
        ("from-context", "a"),
        ("from-context", "b"),
    ]
    assert settings == Settings(
        kubeconfig=str(kubeconfig),
        context="here",
        grace_seconds=7,
        listen_host="::1",
        listen_port=0,
        qps=50,
        burst=100,
        write_qps=20.5,
        write_burst=40,
    )


def test_the_defaults_are_the_settings_own(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    invoked("-f", written(tmp_path, "a"), "--kubeconfig", kubeconfig)

    assert served.calls[0][1] == Settings(kubeconfig=str(kubeconfig))


def test_the_namespace_given_goes_before_the_contexts(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    invoked("-f", written(tmp_path, "a"), "--kubeconfig", kubeconfig, "--namespace", "mine")

    assert served.calls[0][0][0].identity.namespace == "mine"


def test_any_error_stops_it_before_the_cluster_is_touched(tmp_path: Path, served: Served) -> None:
    folder = written(tmp_path, "a", wrong=True)
    kubeconfig = tmp_path / "kubeconfig"
    with socket.create_server(("127.0.0.1", 0)) as server:
        kubeconfig.write_text(KUBECONFIG.format(port=server.getsockname()[1]))

        ended = invoked("-f", folder, "--kubeconfig", kubeconfig)

        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert served.calls == []
    assert ended.exit_code == 2
    assert ended.stdout == ""
    assert f"{folder}/wrong.yaml:6: error: spec.source: " in ended.stderr
    assert ended.stderr.endswith(
        "error: nothing was started; correct the errors above, or use --skip-invalid\n"
    )


def test_a_context_whose_namespace_is_none_is_blamed_itself(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    kubeconfig.write_text(kubeconfig.read_text().replace("from-context", "A_B"))

    ended = invoked("-f", written(tmp_path, "a"), "--kubeconfig", kubeconfig)

    assert ended.exit_code == 2
    assert ended.stderr.startswith(
        f"error: kubeconfig {kubeconfig}, context 'here': namespace: found 'A_B', "
    )
    assert served.calls == []


def test_skip_invalid_runs_the_rest_and_still_reports_the_errors(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    folder = written(tmp_path, "a", wrong=True)

    ended = invoked("-f", folder, "--kubeconfig", kubeconfig, "--skip-invalid")

    assert ended.exit_code == 0
    assert [plan.identity.name for plan in served.calls[0][0]] == ["a"]
    assert "1 error, 0 warnings, 0 notes" in ended.stderr


def test_nothing_to_run_is_an_error_with_the_code_for_usage(
    tmp_path: Path, kubeconfig: Path, served: Served
) -> None:
    folder = written(tmp_path, wrong=True)

    ended = invoked("-f", folder, "--kubeconfig", kubeconfig, "--skip-invalid")

    assert ended.exit_code == 2
    assert ended.stderr.endswith(
        "error: nothing to run: found no valid Ingester that this version supports\n"
    )
    assert served.calls == []


def test_without_a_way_to_the_cluster_the_documents_are_judged_all_the_same(
    tmp_path: Path, served: Served
) -> None:
    folder = written(tmp_path, "a", wrong=True)

    ended = invoked("-f", folder, "--kubeconfig", tmp_path / "none")

    assert ended.exit_code == 2
    assert "wrong.yaml:6: error: " in ended.stderr
    assert f"error: kubeconfig {tmp_path}/none" in ended.stderr
    assert served.calls == []


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (0, 0),
        (1, 1),
        (130, 130),
        (ConfigurationError("no entry"), 2),
        (ListenError("no entry"), 2),
    ],
)
def test_the_exit_code_is_the_runtimes_own(
    tmp_path: Path, kubeconfig: Path, served: Served, *, end: int | Exception, code: int
) -> None:
    served.end = end

    ended = invoked("-f", written(tmp_path, "a"), "--kubeconfig", kubeconfig)

    assert ended.exit_code == code
    assert ended.stderr == ("error: no entry\n" if isinstance(end, Exception) else "")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::]:65535", ("::", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, where: tuple[str, int]) -> None:
    assert address(text) == where


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8080",
        ":8080",
        "host:",
        "host:x",
        "host:65536",
        "host:00000099999",
        "host:²",
        "::1:80",
        "[]:80",
    ],
)
def test_an_address_that_is_none_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="allowed: HOST:PORT"):
        address(text)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--qps", "nan"),
        ("--qps", "inf"),
        ("--qps", "0"),
        ("--write-qps", "-1"),
        ("--burst", "0"),
        ("--write-burst", "0.5"),
        ("--grace", "-1"),
        ("--grace", "nan"),
        ("--grace", "inf"),
        ("--listen", "8080"),
        ("--namespace", "A_B"),
        ("--namespace", ""),
        ("--namespace", "a" * 64),
    ],
)
def test_a_wrong_option_is_named(
    tmp_path: Path, kubeconfig: Path, served: Served, *, option: str, value: str
) -> None:
    ended = invoked("-f", written(tmp_path, "a"), "--kubeconfig", kubeconfig, option, value)

    assert ended.exit_code == 2
    assert option in ended.stderr
    assert served.calls == []


@pytest.mark.timeout(60)
def test_with_an_unreachable_cluster_it_runs_unready_and_stops_on_a_signal(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        closed = server.getsockname()[1]
    (tmp_path / "kubeconfig").write_text(KUBECONFIG.format(port=closed))
    options = ["--kubeconfig", str(tmp_path / "kubeconfig"), "--listen", f"127.0.0.1:{port}"]
    command = [sys.executable, "-m", "streams", "run", "-f", str(written(tmp_path, "a")), *options]
    with subprocess.Popen(
        [*command, "--json-logs"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        first = msgspec.json.decode(process.stderr.readline())
        alive = answer(port, "/livez")
        ready = answer(port, "/readyz")
        metrics = answer(port, "/metrics")
        process.send_signal(signal.SIGTERM)
        rest = [msgspec.json.decode(line) for line in process.stderr]

    assert first["level"] == "WARNING"
    assert first["message"] == "the API server is unreachable"
    assert alive == (200, "ok")
    assert ready[0] == 503
    assert "[-]api-server " in ready[1]
    assert 'zenstreams_source_up{ingester="from-context/a",source="a"} 0.0' in metrics[1]
    assert rest[-1]["message"] == "stopped"
    assert process.returncode == 0


def answer(port: int, path: str) -> tuple[int, str]:
    request = f"http://127.0.0.1:{port}{path}"
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read().decode()
