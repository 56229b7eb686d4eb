"""Writes docs/diagnose.md from the codes and from the cases that prove them.

`python -m tests.system.diagnose.document` prints the page; a test holds the committed one to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from emulator.verdict.causes.order import CODES
from emulator.verdict.causes.unexplained import CODES as CONTRADICTIONS
from tests.system.diagnose.case import Case
from tests.system.diagnose.cases import CASES

_INTRODUCTION = """# What diagnose recognises

*Generated from the tests' cases by `python -m tests.system.diagnose.document`; a test keeps it current.*

    mininetes diagnose shop/web svc/shop/db 5432/tcp

asks four, of the same packet:

- **spec**: what Kubernetes says should become of it, from the objects alone;
- **trace**: what the installed flows do with it, switch by switch;
- **wire**: what became of real packets;
- **drift**: how the network differs from what was computed.

It marks the first answer that does not fit the one before, names the *cause* by a code and an object, and the
*fix* as a command or a change of YAML. Where several things stand in the way, each for itself, all of them
are named in the order in which the packet meets them: what comes after one is found on paper, as if that one
were mended. Where all answers agree it says so, *as the manifests say*, and names what would alter it; when
nothing is wrong there is no cause. It finds out by looking: nobody tells it what was broken on purpose. The
exit code is 0 when it fares as the manifests say (or as `--expect` says), else 1.

Each row of the cases below is a test: it is brought about in a running cluster, the question is asked, and
the codes and the objects must be these and no others. `{ns}` is the case's namespace.

"""
PROVED = frozenset(code for case in CASES for code, _ in ((case.code, case.object), *case.more))


def page() -> str:
    """The page: the cases, then the codes."""
    return _INTRODUCTION + "\n".join([*_cases(), "", *_codes()]) + "\n"


def _cases() -> Iterator[str]:
    yield from ("## Cases", "", "| what is wrong | question | cause | object |", "|---|---|---|---|")
    for case in sorted(CASES, key=_place):
        codes, objects = zip((case.code, case.object), *case.more, strict=True)
        told = f"{_in_order(codes)} | {_in_order(objects)}"
        yield f"| {case.situation} | {_question(case)} | {told} |"


def _in_order(words: Iterable[str]) -> str:
    return ", then ".join(f"`{word}`" for word in words)


def _place(case: Case) -> int:
    return [code.name for code in CODES].index(case.code)


def _question(case: Case) -> str:
    ports = ", ".join(port or "ICMP echo" for port in case.ports)
    told = f"`{case.source}` → `{case.target}`, {ports}"
    return f"{told}, `--http {case.http}`" if case.http else told


def _codes() -> Iterator[str]:
    yield from ("## Codes", "", "| code | meaning | fix |", "|---|---|---|")
    for code in CODES:
        if code not in CONTRADICTIONS:
            yield f"| `{code.name}` | {code.meaning} | {code.remedy} |"
    yield ""
    yield "When none of these is recognised and the answers contradict each other, that is named instead:"
    yield from ("", "| code | meaning | fix |", "|---|---|---|")
    for code in CONTRADICTIONS:
        yield f"| `{code.name}` | {code.meaning} | {code.remedy} |"


if __name__ == "__main__":
    print(page(), end="")
