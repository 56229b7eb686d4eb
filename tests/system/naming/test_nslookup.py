"""nslookup in busybox images: it follows the search list, as lessons show it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Cluster
from tests.system.naming.objects import NAMESPACE, pod

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def busybox(names: Cluster) -> Iterator[str]:
    """A pod of the image in question."""
    container = {"name": "main", "image": "busybox:1.28", "command": ["sleep", "infinity"]}
    objects = [pod("busybox", container)]
    applied = names.apply(objects)
    assert applied.ready.ready, applied.ready.missing
    yield f"{NAMESPACE}/busybox"
    names.delete(objects)


@pytest.mark.parametrize("name", ["web", "web.names", "web.names.svc.cluster.local"])
def test_names_are_searched(names: Cluster, busybox: str, name: str) -> None:
    said = names.exec(busybox, ["nslookup", name])
    assert said.exit_code == 0
    assert said.stdout.splitlines() == [
        "Server:    10.96.0.10",
        "Address 1: 10.96.0.10 kube-dns.kube-system.svc.cluster.local",
        "",
        f"Name:      {name}",
        "Address 1: 10.96.0.50 web.names.svc.cluster.local",
    ]


def test_a_server_and_a_type_can_be_named(names: Cluster, busybox: str) -> None:
    for words in (("web", "10.96.0.10"), ("-type=a", "web")):
        said = names.exec(busybox, ["nslookup", *words])
        assert said.exit_code == 0, said
        assert "Name:\tweb.names.svc.cluster.local" in said.stdout
        assert "10.96.0.50" in said.stdout


def test_a_name_that_is_not_there(names: Cluster, busybox: str) -> None:
    said = names.exec(busybox, ["nslookup", "nobody"])
    assert said.exit_code == 1
    assert said.stderr.strip() == "nslookup: can't resolve 'nobody'"
