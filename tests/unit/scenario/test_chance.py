"""A sample of an even choice may look skewed: the second one decides, for scenarios and for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from ...system.chance import assert_even, assert_share, binomial
from ..cli.conftest import Invoke
from ..cli.conftest import cluster as cluster
from ..cli.conftest import invoke as invoke
from ..fake_cluster import FakeCluster, report

SCENARIO = """\
apiVersion: mininetes.io/v1
kind: Scenario
metadata: {name: shares}
spec:
  steps:
  - name: In equal shares
    expect:
    - {from: shop/web-1, to: svc/shop/web, port: 80/tcp, count: 300, endpoints: {spread: even}}
"""
EVEN, SKEWED = {"a": 104, "b": 95, "c": 101}, {"a": 133, "b": 84, "c": 83}


@pytest.mark.parametrize(("samples", "code"), [([EVEN], 0), ([SKEWED, EVEN], 0), ([SKEWED, SKEWED, EVEN], 1)])
def test_a_scenario_draws_twice_at_most(
    invoke: Invoke, cluster: FakeCluster, tmp_path: Path, samples: Sequence[dict[str, int]], code: int
) -> None:
    (tmp_path / "scenario.yaml").write_text(SCENARIO)
    drawn = iter(samples)
    cluster.answer = lambda *ends: report(*ends, endpoints=next(drawn), outcomes={"connected": 300})
    result = invoke("run", str(tmp_path))
    assert result.exit_code == code, result.output
    assert len(cluster.probes) == min(len(samples), 2)


def test_a_test_draws_twice_at_most() -> None:
    drawn = iter([SKEWED, EVEN, SKEWED, SKEWED, EVEN])
    assert_even(lambda: next(drawn))
    with pytest.raises(AssertionError, match="133"):
        assert_even(lambda: next(drawn))
    shares = iter([30, 60, 31, 60, 10, 30])
    assert_share(0.3, 100, lambda: next(shares))
    assert_share(0.3, 100, lambda: next(shares))
    with pytest.raises(AssertionError, match="60"):
        assert_share(0.3, 100, lambda: next(shares))


def test_binomial() -> None:
    assert binomial(5, 10, 0.5) == pytest.approx(1)
    assert binomial(0, 10, 0.5) == pytest.approx(2 / 1024)
    assert binomial(10, 10, 0.5) == pytest.approx(2 / 1024)
