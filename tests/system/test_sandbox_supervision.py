"""Whatever dies comes back, and what it was doing goes on."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest

from emulator.sandbox import Sandbox, SandboxError, ServiceSpec
from tests.system.inside import add_bridge, out

pytestmark = pytest.mark.sandbox


def kill(sandbox: Sandbox, service: str, number: int = signal.SIGKILL) -> None:
    pid = sandbox.services()[service]["pid"]
    out(sandbox, f"kill -{int(number)} {pid}")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_switch_comes_back_with_its_bridges(sandbox: Sandbox, number: int) -> None:
    add_bridge(sandbox, "b")
    kill(sandbox, "ovs-vswitchd", number)
    sandbox.wait("ovs-vswitchd", timeout=10, restarts=1)
    assert "  b:\n" in out(sandbox, "ovs-appctl dpif/show")
    add_bridge(sandbox, "c")
    assert out(sandbox, "ovs-vsctl list-br").split() == ["b", "c"]


def test_a_killed_database_comes_back_with_its_content(sandbox: Sandbox) -> None:
    add_bridge(sandbox, "b")
    kill(sandbox, "ovsdb-server")
    sandbox.wait("ovsdb-server", timeout=10, restarts=1)
    assert out(sandbox, "ovs-vsctl --timeout=5 list-br") == "b"
    assert sandbox.services()["ovs-vswitchd"]["restarts"] == 0


def test_a_crashing_service_gets_ever_more_time_and_hurts_nobody(launched: Callable[..., Sandbox]) -> None:
    steady = ServiceSpec("steady", (sys.executable, "-c", "import signal; signal.pause()"))
    crashing = ServiceSpec("crashing", ("false",))
    box = launched("crashes", services=[steady, crashing])
    with pytest.raises(SandboxError, match="crashing crashes at its start"):
        box.wait("crashing", timeout=10, restarts=4)
    services = box.services()
    assert services["crashing"]["lastExit"] == 1
    assert services["crashing"]["restarts"] < 10
    assert services["steady"]["state"] == "ready"
    assert services["steady"]["restarts"] == 0


def test_orphans_are_reaped(sandbox: Sandbox) -> None:
    out(sandbox, "for i in 1 2 3 4 5; do (true & exec sh -c 'true &') ; done")
    sandbox.services()
    assert out(sandbox, "ps -eo stat= | grep -c Z || true") == "0"


def test_restart_on_request(launched: Callable[..., Sandbox]) -> None:
    box = launched(
        "again", services=[ServiceSpec("steady", (sys.executable, "-c", "import signal; signal.pause()"))]
    )
    box.wait("steady", timeout=10)
    before = box.services()["steady"]["pid"]
    box.restart("steady")
    box.wait("steady", timeout=10, restarts=1)
    assert box.services()["steady"]["pid"] not in (0, before)
