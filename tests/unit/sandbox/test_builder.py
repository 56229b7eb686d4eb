"""A start whose builder is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import NoReturn

import pytest

from emulator.sandbox.builder import serve
from emulator.sandbox.pipes import Rendezvous

NO_MAPS = ((), ())


def builder(life: Callable[[Rendezvous], NoReturn]) -> tuple[int, Rendezvous]:
    """A child with that life, which like the real one shares its end of the rendezvous with its own child."""
    ours, theirs = Rendezvous.pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        theirs.say(b"m")
        theirs.hear()
        if os.fork() == 0:
            try:
                theirs.hear()
            finally:
                os._exit(0)
        life(theirs)
    theirs.close()
    return pid, ours


def killed(_: Rendezvous) -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def killed_when_done(janitor: Rendezvous) -> NoReturn:
    janitor.say(b"123")
    killed(janitor)


def done(janitor: Rendezvous) -> NoReturn:
    janitor.say(b"123")
    os._exit(0)


def test_it_is_told_by_its_own_death_while_its_child_waits() -> None:
    pid, ours = builder(killed)
    with pytest.raises(EOFError):
        serve(pid, ours, NO_MAPS)
    os.waitpid(pid, 0)
    ours.close()


def test_a_start_ends_with_it_even_when_its_work_is_done() -> None:
    pid, ours = builder(killed_when_done)
    with pytest.raises(ChildProcessError):
        serve(pid, ours, NO_MAPS)
    ours.close()


def test_all_is_well_when_it_ends_by_itself() -> None:
    pid, ours = builder(done)
    assert serve(pid, ours, NO_MAPS) == 123
    ours.close()
