from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent, indent

import pytest

from emulator.api.objects import Key
from emulator.api.problems import ManifestError
from emulator.cluster.outcome import Outcome
from emulator.scenario.model import (
    Apply,
    Clear,
    Delete,
    Exec,
    Inject,
    Label,
    ObjectCheck,
    ProbeCheck,
    Rollout,
    Scale,
    Wait,
)
from emulator.scenario.parse import read_scenario

ROOT = Path(__file__).parents[3]
HEAD = """\
apiVersion: mininetes.io/v1
kind: Scenario
metadata: {name: trial}
spec:
"""


def written(tmp_path: Path, spec: str) -> Path:
    (tmp_path / "manifests").mkdir(exist_ok=True)
    (tmp_path / "manifests" / "deny.yaml").write_text("{}")
    file = tmp_path / "scenario.yaml"
    file.write_text(HEAD + indent(dedent(spec), "  "))
    return file


def test_reads_everything(tmp_path: Path) -> None:
    scenario = read_scenario(
        written(
            tmp_path,
            """\
            topology: two-zone-vpc
            nodes: 4
            namespace: shop
            description: What it shows.
            manifests: [manifests/]
            steps:
            - name: Before
              expect:
              - {from: [web, blog/web], to: "svc/db:5432/tcp", outcome: dropped, count: 3, family: 4}
            - name: After
              delete: [deny.yaml, pod/web-0]
              apply: [deny.yaml, {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}]
              scale: {deploy/web: 5}
              label: {node/worker-1: {zone: a, old: null}}
              rollout: sts/db
              exec: {pod: shop/web-0, command: "wget -qO- http://db", stdout: hello}
              wait: {for: pod/web-0, field: status.phase, is: Running, timeout: 5s}
              expect:
              - {object: pod/web-0, field: status.podIP, exists: true}
              - {logs: web-0, container: b, contains: in use}
              - from: ext/client
                to: node/worker-2
                port: 30080
                http: /hostname
                sees: {source: node/worker-2, ttl: 61}
                endpoints: {spread: even, count: 3, only: [web-*]}
                response: {status: 200, body: web}
                captures: [{at: node/worker-2, match: {udp.dport: 4789}}]
                packet: {packet: tcp, flags: S}
                size: 1400
                interval: 200ms
            """,
        )
    )
    assert (scenario.name, scenario.topology, scenario.nodes) == ("trial", "two-zone-vpc", 4)
    assert scenario.manifests == (tmp_path / "manifests/",)
    before, after = scenario.steps
    assert [(one.source, one.target, one.port) for one in before.checks if isinstance(one, ProbeCheck)] == [
        ("shop/web", "svc/shop/db", "5432/tcp"),
        ("blog/web", "svc/shop/db", "5432/tcp"),
    ]
    assert before.checks[0].line == 13
    kinds = [type(action) for action in after.actions]
    assert kinds == [Delete, Apply, Scale, Label, Rollout, Exec, Wait], (
        "actions run in the order they are written"
    )
    assert after.actions[2] == Scale(Key("Deployment", "shop", "web"), 5)
    assert after.actions[3] == Label(Key("Node", "", "worker-1"), {"zone": "a", "old": None})
    thing, _log, probe = after.checks
    assert isinstance(thing, ObjectCheck)
    assert thing.key == Key("Pod", "shop", "web-0")
    assert isinstance(probe, ProbeCheck)
    assert probe.expected.outcome is Outcome.CONNECTED
    assert probe.expected.endpoints is not None
    assert probe.expected.endpoints.places == ("shop/web-*",)
    assert (probe.port, probe.http) == ("30080/tcp", "/hostname")
    assert probe.options == {"size": 1400, "interval": 0.2}


def test_the_schema_for_editors_knows_the_same_words(tmp_path: Path) -> None:
    """Everything that is read here is in the JSON schema, and the other way round."""
    schema = json.loads((ROOT / "emulator/api/schema/scenario.json").read_text())
    for spec, known in (
        ("steps: [{name: s, qqqq: 1}]", "step"),
        (STEP % "{from: a, to: b, qqqq: 1}", "expectation"),
    ):
        with pytest.raises(ManifestError) as raised:
            read_scenario(written(tmp_path, spec))
        (hint,) = {one.hint for one in raised.value.problems if "unknown field" in one.message}
        words = set(hint.removeprefix("known are ").split(", "))
        assert words <= set(schema["$defs"][known]["properties"])


STEP = "steps: [{name: s, expect: [%s]}]"
MISTAKES = [
    ("steps: []", 5, 3, "steps are missing"),
    ("steps: [{name: s}]", 5, 11, "a step needs an action or an expectation"),
    ("topology: [a]\nsteps: [{wait: ready}]", 5, 13, "spec.topology: must be a text, is a list"),
    ("stesp: []", 5, 3, "spec.stesp: unknown field"),
    ("steps: [{apply: [nope.yaml]}]", 5, 19, "neither a file beside the scenario nor an object"),
    ("manifests: [nope]\nsteps: [{wait: ready}]", 5, 14, "no such file or folder beside the scenario: nope"),
    ("steps: [{fault: {link: a}}]", 5, 19, "kind is missing"),
    ("steps: [{fault: {kind: controller-dwon}}]", 5, 26, "there is no fault 'controller-dwon'"),
    ("steps: [{fault: {kind: controller-down, node: a}}]", 5, 43, "has no argument 'node'"),
    ("steps: [{fault: [controller-down, x]}]", 5, 37, "there is no fault 'x'"),
    ("steps: [{fault: 3}]", 5, 19, "must be a mapping with kind"),
    ("steps: [{clear: [controller-dwon]}]", 5, 19, "there is no fault 'controller-dwon'"),
    ("steps: [{clear: []}]", 5, 19, "says nothing to clear"),
    ("steps: [{scale: {deploy/shop/web: many}}]", 5, 37, "replicas must be a number"),
    ("steps: [{delete: [shop/web]}]", 5, 20, "is no object: write KIND/NAMESPACE/NAME"),
    ("steps: [{exec: {pod: a/b}}]", 5, 18, "command is missing"),
    ("steps: [{wait: later}]", 5, 18, 'must be "ready"'),
    (STEP % "{from: a, outcome: dropped}", 5, 30, "to is missing"),
    (STEP % "{from: a, http: /x}", 5, 30, "to is missing"),
    (STEP % "{from: a, http: 'http://a_b/'}", 5, 46, "is not a place"),
    (STEP % "{from: a, to: b, outcome: droped}", 5, 56, "unknown word 'droped'"),
    (STEP % "{from: A, to: b}", 5, 37, "'A' is not a place"),
    (STEP % "{from: a, to: b, port: 80/gre}", 5, 53, "unknown protocol 'gre'"),
    (STEP % "{from: a, to: b, because: x}", 5, 56, "'x' is no reason: write KIND/NAMESPACE/NAME"),
    (STEP % "{from: a, to: b, cause: wrong-target}", 5, 54, "did you mean wrong-target-port?"),
    (STEP % "{from: a, to: b, count: 0}", 5, 54, "must be 1 or more"),
    (STEP % "{from: a, to: b, family: 5}", 5, 55, "must be 4 or 6"),
    (STEP % "{from: a, to: b, sees: {src: 1}}", 5, 54, "unknown field"),
    (STEP % "{from: a, to: b, response: {status: 200}}", 5, 47, "only a probe with http:"),
    (
        STEP % "{from: a, to: b, captures: [{at: c/d, match: {ip.scr: 1}}]}",
        5,
        58,
        "unknown header field 'ip.scr'",
    ),
    (STEP % "{from: a, to: b, captures: [{match: {}}]}", 5, 58, "needs `at`"),
    (STEP % "{from: a, to: b, packet: {packet: tpc}}", 5, 55, "no packet is called 'tpc'"),
    (STEP % "{object: pod/x, field: a}", 5, 30, "say one of is, is_not, contains, exists"),
    (STEP % "{object: pod, field: a, is: 1}", 5, 39, "is no object"),
    (STEP % "a", 5, 30, "must be a mapping, is a text"),
]


@pytest.mark.parametrize(("spec", "line", "column", "message"), MISTAKES)
def test_mistakes_have_a_place(spec: str, line: int, column: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        read_scenario(written(tmp_path, spec))
    (problem, *_) = raised.value.problems
    assert message in problem.message
    assert (problem.line, problem.column) == (line, column), str(problem)
    assert f"scenario.yaml:{line}:{column}: " in str(problem)


def test_a_url_says_where_to(tmp_path: Path) -> None:
    spec = STEP % "{from: a, http: 'http://db:8080/x'}, {from: a, to: svc/b, http: 'http://shop.example/'}"
    by_name, by_place = read_scenario(written(tmp_path, spec)).steps[0].checks
    assert isinstance(by_name, ProbeCheck)
    assert isinstance(by_place, ProbeCheck)
    assert (by_name.target, by_name.http) == ("//db", "http://db:8080/x")
    assert by_place.target == "svc/default/b"


def test_nearest_name_and_excerpt(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        read_scenario(written(tmp_path, STEP % "{from: a, to: b, outcom: dropped}"))
    lines = str(raised.value.problems[0]).splitlines()
    assert lines[-1].endswith('^^^^^^ did you mean "outcome"?')
    assert lines[-2].startswith("    5 | ")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as raised:
        read_scenario(written(tmp_path, STEP % "{from: A, to: b, port: 0}"))
    assert len(raised.value.problems) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: [",
        "- 1",
        "a: 1\na: 2",
        "kind: Scenario",
        "apiVersion: v2\nkind: Scenario",
        "\tx: 1",
        "---\n---\n",
    ],
)
def test_broken_documents(text: str, tmp_path: Path) -> None:
    file = tmp_path / "scenario.yaml"
    file.write_text(text)
    with pytest.raises(ManifestError) as raised:
        read_scenario(file)
    assert all(problem.line >= 1 and problem.column >= 1 for problem in raised.value.problems)


def test_faults_are_read_in_every_form(tmp_path: Path) -> None:
    forms = ["fault: controller-down", "fault: [{kind: controller-killed}]", "clear: all"]
    spec = f"steps: [{', '.join(f'{{{form}}}' for form in [*forms, 'clear: controller-down'])}]"
    steps = read_scenario(written(tmp_path, spec)).steps
    assert [step.actions for step in steps] == [
        (Inject("controller-down", {}),),
        (Inject("controller-killed", {}),),
        (Clear(),),
        (Clear(("controller-down",)),),
    ]
