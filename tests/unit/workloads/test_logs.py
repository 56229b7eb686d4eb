from __future__ import annotations

import asyncio
import os
from pathlib import Path

from emulator.workloads import logs
from emulator.workloads.logs import Log


def test_a_silent_container_has_no_file(tmp_path: Path) -> None:
    log = Log(tmp_path / "c/0.log")
    log.close()
    assert log.text() == b""
    assert list(tmp_path.iterdir()) == []


def test_lines_are_kept_as_they_come(tmp_path: Path) -> None:
    log = Log(tmp_path / "c/0.log")
    log.line("one")
    log.line("two")
    log.close()
    assert log.path.read_text() == "one\ntwo\n"
    assert log.text(4) == b"two\n"
    assert log.text(8) == b""


def test_a_process_writes_through_a_pipe(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        log = Log(tmp_path / "0.log")
        sink = log.sink()
        os.write(sink, b"from a process\n")
        os.close(sink)
        log.close()
        return log.text()

    assert asyncio.run(scenario()) == b"from a process\n"


def test_followers_see_all_of_it_and_the_end(tmp_path: Path) -> None:
    async def scenario() -> list[bytes]:
        log = Log(tmp_path / "0.log")
        log.line("before")
        seen: list[bytes] = []
        first = asyncio.Event()

        async def follow() -> None:
            async for text in log.follow():
                seen.append(text)
                first.set()

        following = asyncio.create_task(follow())
        await first.wait()
        log.line("after")
        log.close()
        await following
        return seen

    assert b"".join(asyncio.run(scenario())) == b"before\nafter\n"


def test_a_large_log_loses_its_older_half(tmp_path: Path) -> None:
    log = Log(tmp_path / "0.log")
    line = "x" * 99
    for _ in range(logs.LARGEST // 100 + 10):
        log.line(line)
    log.close()
    text = log.text()
    assert logs.LARGEST // 2 - 100 <= len(text) <= logs.LARGEST
    assert text.startswith(b"x")
    assert set(text.split()) == {line.encode()}
