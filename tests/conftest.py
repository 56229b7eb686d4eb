"""Rules for every test: where nothing may be skipped, a skip is a failure."""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator

import pytest

pytest.register_assert_rewrite("tests.system.hygiene", "tests.system.oracles.enforcing")

SEED = int(os.environ.setdefault("MININETES_PROPERTY_SEED", str(secrets.randbelow(1 << 32))))
"""Of the random clusters; the processes that tests are spread over inherit it."""
STRICT = os.environ.get("CI") == "true" or os.environ.get("MININETES_STRICT") == "1"


def pytest_report_header() -> str:
    """Say how to have the same random clusters again."""
    return f"random clusters: MININETES_PROPERTY_SEED={SEED}"


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, which is not allowed here: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped(report)
    return report
