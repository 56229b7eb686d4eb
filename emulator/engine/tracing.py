"""Traces and flow tables, as the front is asked for them: the switch is asked over its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

from controllers import unixctl
from controllers.pipeline.compile import Compiler
from controllers.pipeline.flow import FlowProgram
from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceError
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of
from emulator.engine.living import Traced, live, source_port
from emulator.engine.probing import Map, question_of
from emulator.engine.targets import UnknownPlaceError
from emulator.probes.lookups import LookupFailedError
from emulator.probes.request import Protocol, RequestError
from emulator.probes.workshop import Workshop
from emulator.verdict.trace.atlas import Atlas, NoSuchSenderError
from emulator.verdict.trace.crossing import Asked
from emulator.verdict.trace.legend import Legend
from emulator.verdict.trace.model import Trace
from emulator.verdict.trace.packet import SOURCE_PORT
from emulator.verdict.trace.walk import Question, arriving, trace


class Tracer:
    """Answers from the flow tables; keeps the compiled programs from one question to the next."""

    def __init__(self) -> None:
        self._compiler = Compiler()
        self._known: tuple[ClusterState, Mapping[str, FlowProgram]] | None = None
        self._legends: dict[str, Legend] = {}

    def programs(self, state: ClusterState) -> Mapping[str, FlowProgram]:
        """What the controller computes from this state, by bridge."""
        if self._known is None or self._known[0] != state:
            self._known = (state, self._compiler.compile(state))
            self._legends = {name: Legend(program) for name, program in self._known[1].items()}
        return self._known[1]

    def legends(self, state: ClusterState) -> Mapping[str, Legend]:
        """The same, to be looked up by what the switch prints."""
        self.programs(state)
        return self._legends

    def trace(self, state: ClusterState, question: Question) -> Trace:
        """Ask the switch. Raises NoSuchSenderError, unixctl.ControlError, OSError. Blocks a moment."""
        return trace(question, Atlas(state), self.legends(state), ask)

    def outcomes(self, state: ClusterState, questions: Sequence[Question]) -> list[Outcome]:
        """Where many first packets end. Raises what `trace` raises. Blocks.

        Everybody's next question is asked at once, and what is alike, as the way of a tunnel between two
        nodes, once.
        """
        atlas = Atlas(state)
        found: dict[int, Outcome] = {}
        said: dict[Asked, str] = {}
        talks = {number: arriving(question, atlas) for number, question in enumerate(questions)}
        waiting: dict[int, Asked | None] = dict.fromkeys(talks)
        while waiting:
            for number, asked in tuple(waiting.items()):
                try:
                    talk = talks[number]
                    waiting[number] = next(talk) if asked is None else talk.send(said[asked])
                except StopIteration as end:
                    found[number] = end.value.outcome
                    del waiting[number]
            wanted = [asked for asked in dict.fromkeys(waiting.values()) if asked and asked not in said]
            answers = unixctl.commands("ofproto/trace", [_words(*asked) for asked in wanted])
            said |= zip(wanted, answers, strict=True)
        return [found[number] for number in range(len(questions))]

    async def answer(self, snapshot: Snapshot, body: JsonObject, workshop: Workshop) -> JsonObject:
        """Answer `POST /mininetes/v1/trace`; with `live` the packet is sent, too.

        Raises ApiError for what makes no sense or does not exist.
        """
        try:
            chart = Map.of(snapshot)
            state, is_live = state_of(snapshot), bool(body.get("live"))
            # What only crafted packets speak can be traced as well; a real one is refused with the reason.
            asked = question_of(snapshot, chart, body if is_live else {"packet": {}, **body})
            request = await asked.complete(asked.request())
            address = request.target.address(body.get("family"))
            if request.protocol is not Protocol.ICMP and not request.target.port:
                raise RequestError(f"{request.protocol} to {request.target.name} needs a port")
            question = Question(
                request.source,
                request.target.name,
                request.protocol.value,
                address,
                request.target.port or 0,
                source_port=int(body.get("sourcePort") or (source_port() if is_live else SOURCE_PORT)),
            )
            found = await asyncio.to_thread(self.trace, state, question)
            sent: JsonObject = {}
            if is_live:
                traced = Traced(question, found, partial(self.trace, state))
                found, sent["live"] = await live(snapshot, state, body, traced, workshop)
        except (PlaceError, RequestError, KeyError, TypeError, ValueError) as error:
            raise bad_request(str(error)) from error
        except (UnknownPlaceError, LookupFailedError, NoSuchSenderError) as error:
            raise ApiError(404, "NotFound", str(error)) from error
        except (OSError, unixctl.ControlError) as error:
            raise ApiError(503, "ServiceUnavailable", f"Open vSwitch does not answer: {error}") from error
        answer = found.as_json() | sent
        if asked.lookups:
            answer["lookups"] = [lookup.as_json() for lookup in asked.lookups]
        return answer


def ask(bridge: str, flow: str, states: tuple[str, ...]) -> str:
    """One `ofproto/trace`; 0.2 ms."""
    return unixctl.command("ofproto/trace", *_words(bridge, flow, states))


def _words(bridge: str, flow: str, states: tuple[str, ...]) -> list[str]:
    return [bridge, flow, *(word for state in states for word in ("--ct-next", state))]
