"""`flows` and `diff`: what switches hold, for people."""

from __future__ import annotations

from dataclasses import dataclass

import click

from emulator.api.objects import JsonObject
from emulator.cli import formats
from emulator.cli.exits import ExitCode
from emulator.cli.session import Session
from emulator.cli.tables import age, render


@dataclass(frozen=True, slots=True)
class FlowQuestion:
    """What `flows` is to list."""

    node: str | None
    owner: str | None
    stage: str | None
    name: str
    output: str


def show_flows(session: Session, asked: FlowQuestion) -> None:
    """Print the flows; the actions last, since they are long."""
    found = list(session.connect(asked.name).flows(asked.node))
    stages = {str(flow["stage"]).lower() for flow in found} | {str(flow["table"]) for flow in found}
    if asked.stage and asked.stage.lower() not in stages:
        known = ", ".join(dict.fromkeys(str(flow["stage"]) for flow in found))
        raise click.UsageError(f"no flow is in a stage {asked.stage!r}; there are {known}")
    chosen = [flow for flow in found if _fits(flow, asked)]
    if asked.output == "json":
        answer = {"apiVersion": "mininetes.io/v1", "kind": "FlowList", "items": chosen}
        session.terminal.out(formats.to_json(answer))
        return
    header = ["NODE", "STAGE", "PRIORITY", "OWNER", "NAME", "PACKETS", "MATCH", "ACTIONS"]
    session.terminal.out(render(header, [_row(flow) for flow in chosen]))


def _fits(flow: JsonObject, asked: FlowQuestion) -> bool:
    stage = (asked.stage or "").lower()
    return (not asked.owner or asked.owner.lower() in str(flow["owner"]).lower()) and (
        not stage or stage in (str(flow["stage"]).lower(), str(flow["table"]))
    )


def _row(flow: JsonObject) -> list[str]:
    named = flow["name"] or ("learned" if flow["learned"] else "<unknown>")
    return [
        str(flow["node"]),
        str(flow["stage"]),
        str(flow["priority"]),
        str(flow["owner"] or "<none>"),
        str(named),
        str(flow["packets"]),
        str(flow["match"] or "*"),
        str(flow["actions"]),
    ]


def show_drift(session: Session, node: str | None, heal: bool, name: str, output: str) -> int:  # noqa: FBT001
    """Print what differs; the exit code says whether something does."""
    found = session.connect(name).drift(node, heal=heal)
    left = found["items"]
    if output == "json":
        session.terminal.out(formats.to_json(found))
    else:
        for one in found.get("repaired", ()):
            session.terminal.out(_repaired(one))
        for fault in found.get("cleared", ()):
            session.terminal.out(f"cleared  {fault['name']}")
        for one in found["healed"]:
            session.terminal.out(_line(one, "healed"))
        for one in left:
            by = ", ".join(one.get("by", ()))
            session.terminal.out(f"{_line(one, str(one['fault']))}{f'  by fault {by}' if by else ''}")
            for title in ("computed", "installed"):
                if one[title]:
                    session.terminal.out(f"    {title:<10} {one[title]}")
        if not left:
            session.terminal.out("all switches hold what was computed, and the kernel what was planned")
    return ExitCode.NOT_AS_EXPECTED if left else ExitCode.AS_EXPECTED


def _repaired(one: JsonObject) -> str:
    named = f" ({one['name']})" if one["name"] else ""
    owner = one["owner"] or "nobody"
    return f"repaired {one['node']}  {one['stage']}  {owner}{named}  {one['did']} {age(one['at'])} ago"


def _line(one: JsonObject, word: str) -> str:
    if one.get("kind", "flow") != "flow":
        place = str(one.get("place", one["node"])).removeprefix("node/")
        return f"{word:<8} {place}  {one['kind']}  {one['owner'] or 'nobody'}  {one['object']}"
    named = f" ({one['name']})" if one["name"] else ""
    owner = one["owner"] or "nobody"
    return (
        f"{word:<8} {one['node']}  {one['stage']}  {owner}{named}  "
        f"priority {one['priority']}  {one['match'] or '*'}"
    )
