"""The prompt's view of a cluster follows the objects in the store; scripts come in by a pipe."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulator.network import prompt
from emulator.network.cli import PlaceCLI
from emulator.network.network import Settings
from emulator.network.places import PlaceHost
from emulator.network.prompt import View

TOPOLOGY = Path(__file__).resolve().parents[3] / "topologies" / "three-node.yaml"


def pod(name: str, address: str, node: str = "worker-1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": name},
        "spec": {"nodeName": node, **spec},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    }


class Store:
    """Stands in for a Client."""

    def __init__(self, *pods: dict[str, Any]) -> None:
        self.pods = list(pods)

    def list(self, kind: str) -> list[dict[str, Any]]:
        if kind == "Topology":
            return [yaml.safe_load(TOPOLOGY.read_text())]
        return self.pods


def view_of(store: Store) -> View:
    return View(store, Settings(ovs=Path("/nowhere")))  # type: ignore[arg-type]


def test_pods_hang_on_their_nodes_bridge() -> None:
    view = view_of(Store(pod("web", "10.244.2.9", "worker-2")))
    web = view.net["shop/web"]
    assert web.IP() == "10.244.2.9"
    assert [(a.name, b.name) for a, b in view.net["n2"].connectionsTo(web)] == [("p2-9", "eth0")]


def test_pods_without_an_address_or_an_interface_are_no_hosts_of_their_own() -> None:
    waiting = {"metadata": {"namespace": "shop", "name": "waiting"}, "spec": {}, "status": {}}
    view = view_of(Store(waiting, pod("agent", "192.168.50.11", hostNetwork=True)))
    assert "shop/waiting" not in view.net
    assert view.net["shop/agent"] is view.net["node/worker-1"]


def test_the_view_follows_the_store() -> None:
    store = Store(pod("a", "10.244.1.2"), pod("b", "10.244.1.3"))
    view = view_of(store)
    kept = view.net["shop/b"]
    store.pods = [pod("b", "10.244.1.3"), pod("c", "10.244.3.2", "worker-3")]
    view.refresh()
    assert [host.name for host in view.net.pods()] == ["shop/b", "shop/c"]
    assert view.net["shop/b"] is kept
    store.pods = [pod("b", "10.244.2.2", "worker-2")]
    view.refresh()
    assert view.net["shop/b"].IP() == "10.244.2.2"
    assert "p1-3" not in view.net["n1"].intfNames()


class Script(io.StringIO):
    """Standard input that is no terminal; the poller wants a descriptor."""

    def fileno(self) -> int:
        return 0


def run(script: str, monkeypatch: pytest.MonkeyPatch) -> str:
    view = view_of(Store(pod("web", "10.244.1.2"), pod("db", "10.244.1.3")))
    sent: list[str] = []
    said: list[str] = []

    def send(self: Any, command: str) -> None:
        sent.append(f"{self.name}: {command}")

    monkeypatch.setattr(PlaceHost, "sendCmd", send)
    monkeypatch.setattr("mininet.cli.output", lambda *words: said.append("".join(map(str, words))))
    monkeypatch.setattr("mininet.cli.error", lambda *words: said.append("".join(map(str, words))))
    monkeypatch.setattr("sys.stdin", Script(script))
    refreshed: list[int] = []
    PlaceCLI(view.net, lambda: refreshed.append(1), stdin=Script(script))
    assert len(refreshed) >= len(script.splitlines())
    return "\n".join(sent + said)


def test_places_become_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("shop/web ping -c1 shop/db\n", monkeypatch) == "shop/web: ping -c1 10.244.1.3"


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("node/worker-1 ip route # why\n", "node/worker-1: ip route"),
        ("shop/web ping pod/shop/db ext/server\n", "shop/web: ping 10.244.1.3 198.51.100.80"),
        ("shop/nobody ping shop/db\n", "*** Unknown command: shop/nobody ping shop/db\n"),
        ("shop/web\n", "*** Please enter a command for node: shop/web <cmd>\n"),
    ],
)
def test_lines_of_a_script(script: str, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(script, monkeypatch) == answer


def test_a_place_that_is_gone_ends_the_command_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = view_of(Store(pod("web", "10.244.1.2")))
    said: list[str] = []
    monkeypatch.setattr("emulator.network.cli.log_error", said.append)
    monkeypatch.setattr("sys.stdin", Script("shop/web true\nshop/web false\n"))
    PlaceCLI(view.net, lambda: None, stdin=Script(""))
    assert said == ["*** shop/web has no network namespace (any more)\n"] * 2


def test_completion_knows_places(monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(Store(pod("web", "10.244.1.2")))
    monkeypatch.setattr("sys.stdin", Script(""))
    cli = PlaceCLI(view.net, lambda: None, stdin=Script(""))
    assert cli.completedefault("shop/") == ["shop/web"]
    assert "links" in cli.completenames("li")
    assert "ext/client" in cli.completenames("ext/")


def test_nothing_is_written_to_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    PlaceCLI.initReadline()
    assert list(tmp_path.iterdir()) == []
    assert prompt.main.__doc__
