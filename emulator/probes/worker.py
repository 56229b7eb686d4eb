"""The process that knows Scapy: `python -m emulator.probes.worker`.

Reads one JSON order a line from standard input, `{"id", "spec", "origin", "count"}`, and answers
each with one line, `{"id", "packets": [{"frames": [hex], "key", "answers", "ttl"}]}` or
`{"id", "error"}`. It builds frames and nothing else: sockets and namespaces stay with the engine.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any


def main() -> None:
    """Serve orders until standard input ends; the first line written says that Scapy is loaded."""
    logging.getLogger("scapy").setLevel(logging.ERROR)
    from emulator.probes.craft import craft
    from emulator.probes.workshop import Origin

    def answer(order: dict[str, Any]) -> list[dict[str, Any]]:
        origin = Origin(**order["origin"])
        crafted = [
            one for index in range(order.get("count", 1)) for one in craft(order["spec"], origin, index)
        ]
        return [
            {
                "frames": [bytes(frame).hex() for frame in one.frames],
                "key": one.key,
                "answers": list(one.answers),
                "ttl": one.ttl,
            }
            for one in crafted
        ]

    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        try:
            reply: dict[str, Any] = {"id": order["id"], "packets": answer(order)}
        except Exception as error:
            reply = {"id": order["id"], "error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
