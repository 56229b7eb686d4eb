"""BIRD's control socket, with somebody else behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from emulator.network.bird import Bird, refuse_without_bird
from emulator.network.birdc import configure, disabled
from emulator.network.errors import BirdUnavailable, NetworkError

HELLO = "0001 BIRD 2.0.12 ready."
PROTOCOLS = (
    "2002-Name       Proto      Table      State  Since         Info",
    "1002-device1    Device     ---        up     02:12:23.074  ",
    " kernel4    Kernel     master4    up     02:12:23.074  ",
    " worker_1_4 BGP        ---        up     02:12:23.461  Established   ",
    " worker_2_4 BGP        ---        down   02:12:24.101  ",
    " worker_3_4 BGP        ---        start  02:12:24.200  Passive       ",
    "0000 ",
)


async def spoken(bird: Bird, answer: Sequence[str], ask: str) -> tuple[object, list[str]]:
    """What asking a BIRD that answers so comes to, and what it was asked."""
    heard: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{HELLO}\n".encode())
        heard.append((await reader.readline()).decode().strip())
        writer.write("".join(f"{line}\n" for line in answer).encode())
        writer.close()

    bird.directory.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(serve, bird.directory / "bird.ctl")
    async with server:
        result = await (configure(bird) if ask == "configure" else disabled(bird))
    return result, heard


@pytest.fixture
def bird(tmp_path: Path) -> Bird:
    return Bird("node/worker-1", tmp_path / "b")


def test_it_runs_in_its_place_with_files_of_its_own(bird: Bird) -> None:
    assert bird.unit == "bird-node-worker-1"
    assert bird.argv[:4] == ("nsenter", "--net=/run/netns/node-worker-1", "--", "bird")
    assert str(bird.directory / "bird.ctl") in bird.argv
    bird.write("router id 10.255.0.1;\n")
    bird.write("router id 10.255.0.2;\n")
    assert [path.name for path in bird.directory.iterdir()] == ["bird.conf"]
    assert (bird.directory / "bird.conf").read_text() == "router id 10.255.0.2;\n"


def test_a_configuration_is_read_anew(bird: Bird) -> None:
    answer = ["0002-Reading configuration from bird.conf", "0003 Reconfigured"]
    assert asyncio.run(spoken(bird, answer, "configure")) == (None, ["configure"])


def test_a_configuration_that_it_refuses_is_an_error(bird: Bird) -> None:
    answer = ["0002-Reading configuration from bird.conf", "8002 bird.conf:3:1 syntax error"]
    with pytest.raises(NetworkError, match=r"BIRD of node/worker-1 refuses .* syntax error"):
        asyncio.run(spoken(bird, answer, "configure"))


def test_sessions_that_somebody_disabled_are_told_from_broken_ones(bird: Bird) -> None:
    assert asyncio.run(spoken(bird, PROTOCOLS, "disabled")) == (
        frozenset({"worker_2_4"}),
        ["show protocols"],
    )


def test_one_that_does_not_run_reads_its_file_when_it_starts(bird: Bird) -> None:
    bird.write("")
    asyncio.run(configure(bird))
    assert asyncio.run(disabled(bird)) == frozenset()


def test_without_bird_no_topology_that_needs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BirdUnavailable, match="apt-get install bird2"):
        refuse_without_bird()
    (tmp_path / "bird").write_text("")
    (tmp_path / "bird").chmod(0o755)
    refuse_without_bird()
