"""Supervision as a state machine: what starts when, and how often."""

from __future__ import annotations

import pytest

from emulator.sandbox.services import Ready, ServiceSpec, Unit
from emulator.sandbox.supervisor import LONGEST_DELAY, SHORT_LIFE, State, Supervisor

STEP = Unit("step", ("true",), ready=Ready.EXIT)
DAEMON = Unit("daemon", ("d",), ready=Ready.DAEMON, after=("step",), pid_file="/d.pid")
SERVICE = Unit("service", ("s",), ready=Ready.NOTIFY, after=("daemon",))


def due(supervisor: Supervisor, now: float) -> list[str]:
    return [unit.name for unit in supervisor.due(now)]


def started() -> Supervisor:
    """All three up and ready at time 0."""
    supervisor = Supervisor([STEP, DAEMON, SERVICE])
    supervisor.started("step", 2, 0)
    supervisor.exited("step", 0, 0)
    supervisor.started("daemon", 3, 0)
    supervisor.adopted("daemon", 4)
    supervisor.started("service", 5, 0)
    supervisor.notified("service", ["READY=1", "STATUS=fine"])
    return supervisor


def test_each_starts_when_what_it_waits_for_is_ready() -> None:
    supervisor = Supervisor([SERVICE, DAEMON, STEP])
    assert due(supervisor, 0) == ["step"]
    supervisor.started("step", 2, 0)
    assert due(supervisor, 0) == []
    supervisor.exited("step", 0, 0)
    assert due(supervisor, 0) == ["daemon"]
    supervisor.started("daemon", 3, 0)
    assert due(supervisor, 0) == []
    supervisor.adopted("daemon", 4)
    assert due(supervisor, 0) == ["service"]


def test_a_notifying_service_is_ready_when_it_says_so() -> None:
    supervisor = started()
    life = supervisor.lives["service"]
    assert (life.state, life.status) == (State.READY, "fine")
    supervisor.exited("service", 1, 100)
    supervisor.started("service", 6, 100)
    assert life.state is State.STARTING
    assert life.status == ""


def test_a_failed_step_stops_what_waits_for_it() -> None:
    supervisor = Supervisor([STEP, DAEMON])
    supervisor.started("step", 2, 0)
    supervisor.exited("step", 1, 0)
    assert supervisor.lives["step"].state is State.FAILED
    assert due(supervisor, 1000) == []
    assert supervisor.deadline() is None


def test_what_ran_for_a_while_comes_back_at_once_and_holds_nobody_up() -> None:
    supervisor = started()
    supervisor.exited("daemon", -9, SHORT_LIFE + 1)
    supervisor.exited("service", -9, SHORT_LIFE + 1)
    assert set(due(supervisor, SHORT_LIFE + 1)) == {"daemon", "service"}


def test_crashes_in_a_row_get_ever_longer_delays() -> None:
    supervisor = Supervisor([Unit("u", ("u",))])
    now, delays = 0.0, []
    for _ in range(12):
        assert due(supervisor, now) == ["u"]
        supervisor.started("u", 9, now)
        supervisor.exited("u", 1, now)
        when = supervisor.deadline()
        assert when is not None
        delays.append(round(when - now, 3))
        now = when
    assert delays[:5] == [0, 0.1, 0.2, 0.4, 0.8]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY
    supervisor.started("u", 9, now)
    supervisor.exited("u", 1, now + 2 * SHORT_LIFE)
    assert supervisor.deadline() == now + 2 * SHORT_LIFE


def test_dying_before_it_is_ready_is_a_crash_however_long_it_took() -> None:
    supervisor = Supervisor([Unit("u", ("u",), ready=Ready.NOTIFY)])
    now = 0.0
    for crashes in (1, 2, 3):
        assert due(supervisor, now) == ["u"]
        supervisor.started("u", 9, now)
        supervisor.exited("u", 1, now + 5 * SHORT_LIFE)
        assert supervisor.lives["u"].crashes == crashes
        now = supervisor.deadline() or 0.0
    supervisor.started("u", 9, now)
    supervisor.notified("u", ["READY=1"])
    supervisor.exited("u", 1, now + 5 * SHORT_LIFE)
    assert supervisor.lives["u"].crashes == 0


def test_a_process_is_known_by_its_id() -> None:
    supervisor = started()
    life = supervisor.named(5)
    assert life is not None
    assert life.unit.name == "service"
    assert supervisor.named(77) is None


def test_wrong_units_are_refused() -> None:
    with pytest.raises(ValueError, match="two units have one name"):
        Supervisor([STEP, STEP])
    with pytest.raises(ValueError, match="daemon waits for step, which is no unit"):
        Supervisor([DAEMON])


def test_a_service_waits_for_the_switch_unless_it_says_otherwise() -> None:
    assert Unit.of(ServiceSpec("a", ("a",))).after == ("ovs-vswitchd",)
    eager = Unit.of(ServiceSpec("a", ("a",), {"X": "1"}, notify=True, after=(), listens=True))
    assert eager == Unit("a", ("a",), {"X": "1"}, Ready.NOTIFY, (), listens=True)


def test_what_is_held_waits_until_it_is_released() -> None:
    supervisor = Supervisor([Unit("router", ("r",), held=True)])
    life = supervisor.lives["router"]
    assert (due(supervisor, 0), life.state, life.last_exit) == ([], State.HELD, None)
    supervisor.release("router")
    assert due(supervisor, 0) == ["router"]


def test_what_is_held_stays_down_and_comes_back_at_once() -> None:
    supervisor = Supervisor([Unit("router", ("r",))])
    supervisor.started("router", 7, 0)
    supervisor.hold("router")
    life = supervisor.lives["router"]
    assert life.state is State.READY
    supervisor.exited("router", -9, 100)
    assert (due(supervisor, 1000), life.state, life.restarts) == ([], State.HELD, 0)
    supervisor.release("router")
    assert due(supervisor, 1000) == ["router"]


def test_a_crashed_unit_can_be_held() -> None:
    supervisor = Supervisor([Unit("router", ("r",))])
    supervisor.started("router", 7, 0)
    supervisor.exited("router", 1, 0)
    supervisor.hold("router")
    assert due(supervisor, 1000) == []
    assert supervisor.deadline() is None
