"""The store's journal: nothing acknowledged is lost, whatever kills the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from emulator.api import journal as journal_module
from emulator.api.objects import Key
from emulator.api.store import Store
from tests.unit.api.test_store import config


def filled(path: Path, count: int = 5) -> Store:
    store = Store(path)
    store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    for number in range(count):
        store.create(config(f"c{number}", x=str(number)))
    store.delete(Key("ConfigMap", "shop", "c0"))
    store.replace(config("c1", x="changed"))
    return store


def test_a_reopened_store_is_the_same(tmp_path: Path) -> None:
    store = filled(tmp_path / "journal")
    objects, version = store.objects(), store.resource_version
    store.close()
    again = Store(tmp_path / "journal")
    assert again.objects() == objects
    assert again.resource_version == version
    assert again.create(config("new"))["metadata"]["resourceVersion"] == str(version + 1)


def test_versions_go_on_after_a_deletion(tmp_path: Path) -> None:
    store = filled(tmp_path / "journal")
    store.delete(Key("ConfigMap", "shop", "c2"))
    version = store.resource_version
    store.close()
    assert Store(tmp_path / "journal").resource_version == version


@pytest.mark.parametrize(
    "torn", [b"{", b'{"rv":99,"key":["ConfigMap","shop","x"]', b"\x00\x01", b"not json\n"]
)
def test_a_torn_last_line_is_dropped(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    store = filled(path)
    objects = store.objects()
    store.close()
    with path.open("ab") as stream:
        stream.write(torn)
    again = Store(path)
    assert again.objects() == objects
    again.create(config("after"))
    again.close()
    assert Store(path).find(Key("ConfigMap", "shop", "after"))


def test_history_is_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_COMPACT_ABOVE", 10_000)
    path = tmp_path / "journal"
    store = filled(path)
    for number in range(500):
        store.replace(config("c1", x=str(number)))
    store.delete(Key("ConfigMap", "shop", "c2"))
    assert path.stat().st_size < 20_000
    objects, version = store.objects(), store.resource_version
    store.close()
    again = Store(path)
    assert again.objects() == objects
    assert again.resource_version == version


WRITER = """
import sys
from pathlib import Path
from emulator.api.store import Store
store = Store(Path(sys.argv[1]))
store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
number = 0
while True:
    metadata = {"name": f"c{number}", "namespace": "shop"}
    store.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"x": "y" * 500}})
    print(number, flush=True)
    number += 1
"""


def test_a_killed_process_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    root = str(Path(__file__).parents[3])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(200)]
    writer.send_signal(signal.SIGKILL)
    acknowledged += [
        int(line) for line in writer.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")
    ]
    writer.wait()
    writer.stdout.close()
    store = Store(path)
    names = {obj["metadata"]["name"] for obj in store.list("ConfigMap")}
    assert {f"c{number}" for number in acknowledged} <= names
    assert len(names) <= len(acknowledged) + 1
    assert store.resource_version == len(names) + 1
