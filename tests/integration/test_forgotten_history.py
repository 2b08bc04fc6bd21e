"""A watch that breaks and cannot be resumed, since what happened meanwhile is forgotten: nothing is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from demo.apiserver.faults import Fault, What
from demo.apiserver.server import ApiServer
from demo.install import definitions
from tests.cluster.generator import GROUP, WIDGETS, Generator, at_once
from tests.cluster.loop_thread import LoopThread
from tests.cluster.processes import wait_until
from tests.cluster.product import Product, ingester
from tests.integration.embedded import Way

NAMESPACE = "default"
WATCHES = f"*/namespaces/{NAMESPACE}/widgets?*watch=*"


class Beside:
    """An embedded server in a thread of the test's own, whose faults can be ordered."""

    def __init__(self, loop: LoopThread, folder: Path) -> None:
        self._loop = loop
        self.server = ApiServer()
        loop.run(self.server.__aenter__())
        self.kubeconfig = self.server.write_kubeconfig(folder / "kubeconfig")
        self.api = Way(self.kubeconfig, folder=folder).api()
        for definition in (*definitions(), WIDGETS):
            loop.call(partial(self.server.create, definition))

    def order(self, fault: Fault) -> Fault:
        """Let something go wrong from now on."""
        return self._loop.call(lambda: self.server.faults.add(fault))

    def forget_history(self) -> None:
        self._loop.call(self.server.forget_history)

    def close(self) -> None:
        self._loop.run(self.server.__aexit__())


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Beside]:
    with LoopThread("embedded server") as loop:
        started = Beside(loop, tmp_path)
        yield started
        started.close()


def is_told(generator: Generator) -> bool:
    try:
        generator.assert_widgets()
    except AssertionError:
        return False
    return True


@pytest.mark.timeout(60)
def test_what_is_forgotten_is_read_again(beside: Beside, tmp_path: Path) -> None:
    generator = Generator(beside.api, NAMESPACE)
    at_once(partial(generator.widget, f"w{n}", 0) for n in range(10))
    cut = beside.order(Fault(What.CUT, path=WATCHES, lines=3))
    late = beside.order(Fault(What.DELAY, path=WATCHES, seconds=2.0))
    document = ingester("widgets", NAMESPACE, resource="widgets", group=GROUP)
    with Product(tmp_path, [document], kubeconfig=beside.kubeconfig) as product:
        product.ready()
        for n in range(4):
            generator.widget(f"w{n}", 1)
        wait_until(lambda: late.met > 0, seconds=10, what="the watch to be opened again")
        assert cut.met == 1
        generator.widget("w4", 2)
        generator.widget("new", 2)
        generator.delete("w5")
        generator.delete("w6")
        generator.widget("w6", 3)
        beside.forget_history()
        wait_until(
            lambda: product.total("zenstreams_watch_relists_total", reason="Expired") > 0,
            seconds=20,
            what="a list because of 410",
        )
        # The relist is counted when it begins: what it brought is known when every event has ended.
        wait_until(partial(is_told, generator), seconds=20, what="every widget's last state")
        product.quiet()
        generator.assert_widgets()
        product.assert_balanced("widgets")
        assert product.stop() == 0
