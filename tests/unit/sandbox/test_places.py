"""Names, paths and the record of a running sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from emulator.sandbox import SandboxError
from emulator.sandbox.places import (
    Process,
    Record,
    boot_id,
    check_name,
    lock,
    run_directory,
    socket_path,
    state_home,
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MININETES_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["default", "a", "lab-3", "x" * 63])
def test_names_of_clusters(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "x" * 64, "a.b", "a b"])
def test_wrong_names_of_clusters(name: str) -> None:
    with pytest.raises(SandboxError, match="cannot name a cluster"):
        check_name(name)


def test_directories_follow_the_xdg_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert run_directory("x") == Path("/home/ada/.local/state/mininetes/x")
    assert socket_path("x") == Path(f"/tmp/mininetes-{os.getuid()}/x.sock")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert run_directory("x") == Path("/state/mininetes/x")
    assert socket_path("x") == Path("/run/user/1000/mininetes/x.sock")
    monkeypatch.setenv("MININETES_HOME", "/own")
    assert state_home() == Path("/own")
    assert socket_path("x") == Path("/own/x.sock")


def test_a_socket_path_must_fit_a_socket_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/" + "r" * 89)
    assert len(os.fsencode(socket_path("x"))) == 107
    with pytest.raises(SandboxError, match="longer than 107 bytes"):
        socket_path("xx")


def test_a_process_is_not_the_one_that_had_its_id_before() -> None:
    this = Process.of(os.getpid())
    assert this.alive()
    assert not replace(this, started=this.started - 1).alive()
    with pytest.raises(ProcessLookupError):
        replace(this, started=this.started - 1).open()


def test_a_dead_process_is_dead_before_it_is_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = Process.of(child.pid)
    fd = process.open()
    child.kill()
    os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOWAIT)
    os.close(fd)
    assert not process.alive()
    child.communicate()
    with pytest.raises(ProcessLookupError):
        Process.of(child.pid)


def record(tmp_path: Path, process: Process) -> Record:
    return Record("x", str(tmp_path / "x.sock"), boot_id(), process, process, process, keep_credentials=True)


def test_a_record_is_read_back(tmp_path: Path) -> None:
    saved = record(tmp_path, Process.of(os.getpid()))
    saved.save(tmp_path)
    assert Record.load(tmp_path) == saved
    assert saved.running()


def test_a_record_of_another_boot_or_of_a_dead_process_does_not_run(tmp_path: Path) -> None:
    saved = record(tmp_path, Process.of(os.getpid()))
    assert not replace(saved, boot="another").running()
    assert not replace(saved, init=Process(os.getpid(), 1)).running()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x", "init": 3}'])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    assert Record.load(tmp_path) is None


def test_what_a_dead_sandbox_left_is_removed_once_nobody_else_will(tmp_path: Path) -> None:
    socket = tmp_path / "x.sock"
    socket.touch()
    alive = record(tmp_path, Process.of(os.getpid()))
    alive.save(tmp_path)
    alive.forget(tmp_path)
    assert socket.exists()
    record(tmp_path, Process(os.getpid(), 1)).forget(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_directory_has_one_holder(tmp_path: Path) -> None:
    held = lock(tmp_path / "a" / "demo")
    with pytest.raises(SandboxError, match="'demo' is already there"):
        lock(tmp_path / "a" / "demo")
    os.close(held)
    os.close(lock(tmp_path / "a" / "demo"))
