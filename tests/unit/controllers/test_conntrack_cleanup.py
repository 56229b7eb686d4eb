"""Stale connections are taken out of a switch that has a life of its own."""

from __future__ import annotations

import pytest

from controllers import unixctl
from controllers.conntrack_cleanup import Cleaner
from controllers.pipeline.stale import frontends
from controllers.pipeline.stale_balanced import balanced
from emulator.cluster.model import ClusterState

from .test_stale import GONE, LIVE, PLAN, ZONE, dns

STALE = (
    "udp,orig=(src=10.244.1.9,dst=10.96.0.53,sport=12345,dport=80),"
    f"reply=(src={GONE.addresses[0]},dst=10.244.1.9,sport=5353,dport=12345),zone={ZONE}"
)


def test_one_that_ends_before_it_is_flushed_is_gone_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    dumps, asked = [STALE, "", "never asked for"], []

    def command(name: str, *_: str) -> str:
        asked.append(name)
        if name == "dpctl/dump-conntrack":
            return dumps.pop(0)
        raise unixctl.ControlError("failed to flush conntrack (No such file or directory)")

    monkeypatch.setattr(unixctl, "command", command)
    state = ClusterState(PLAN, services=(dns(LIVE),))
    cleaner = Cleaner()
    assert cleaner.clean(frontends(state), balanced(state), {}) == 1
    assert asked == ["dpctl/dump-conntrack", "dpctl/flush-conntrack", "dpctl/dump-conntrack"]
    assert cleaner.clean(frontends(state), balanced(state), {}) == 0
    assert dumps == ["never asked for"]
