from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.api.client import Client
from tests.unit.api.serving import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    client = Client(server.path, timeout=10)
    yield client
    client.close()
