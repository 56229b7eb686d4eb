"""Every way to write a NetworkPolicy: what the API server takes, and where it finds fault with the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulator.api.load import ManifestError, load

HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: "


def written(directory: Path, spec: str) -> Path:
    file = directory / "policy.yaml"
    file.write_text(f"{HEAD}{spec}\n")
    return file


def ingress(rule: str) -> str:
    return f"{{podSelector: {{}}, ingress: [{rule}]}}"


def of_peer(peer: str) -> str:
    return ingress(f"{{from: [{peer}]}}")


def of_port(port: str) -> str:
    return ingress(f"{{ports: [{port}]}}")


def selecting(selector: str) -> str:
    return f"{{podSelector: {selector}}}"


def expression(fields: str) -> str:
    return selecting(f"{{matchExpressions: [{{{fields}}}]}}")


TAKEN = (
    "null",
    "{}",
    "{ingress: [{}]}",
    "{podSelector: null}",
    "{podSelector: {}, ingress: [], egress: []}",
    "{podSelector: {}, ingress: null, egress: null}",
    "{podSelector: {}, policyTypes: null}",
    "{podSelector: {}, policyTypes: []}",
    "{podSelector: {}, policyTypes: [Ingress, Ingress]}",
    "{podSelector: {}, policyTypes: [Egress], ingress: [{}]}",
    selecting("{matchLabels: null, matchExpressions: null}"),
    selecting("{matchLabels: {}, matchExpressions: []}"),
    selecting("{matchLabels: {a: ''}}"),
    expression("key: a, operator: In, values: ['', b]"),
    expression("key: a, operator: Exists, values: []"),
    expression("key: a, operator: DoesNotExist, values: null"),
    ingress("{}"),
    ingress("null"),
    ingress("{from: [], ports: []}"),
    ingress("{from: null, ports: null}"),
    of_peer("{podSelector: {}}, {namespaceSelector: {}}, {podSelector: {}, namespaceSelector: {}}"),
    of_peer("{podSelector: null, namespaceSelector: {}, ipBlock: null}"),
    of_peer("{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: '::/0'}}"),
    of_peer("{ipBlock: {cidr: 10.0.0.5/24, except: null}}"),
    of_peer("{ipBlock: {cidr: 10.0.0.5/24, except: [10.0.0.77/25]}}"),
    of_peer("{ipBlock: {cidr: 'FD00::5/64', except: ['fd00::/65', 'fd00:0:0:0:8000::/128']}}"),
    of_port("{}"),
    of_port("null"),
    of_port("{port: null, protocol: null, endPort: null}"),
    of_port("{port: 80, endPort: 80}, {port: 1, endPort: 65535, protocol: UDP}"),
    of_port("{port: http, protocol: SCTP}, {port: http, protocol: UDP}, {protocol: UDP}"),
    of_port("{port: 80}, {port: 80}"),
)


@pytest.mark.parametrize("spec", TAKEN)
def test_what_the_api_server_takes(tmp_path: Path, spec: str) -> None:
    (taken,) = load([written(tmp_path, spec)]).objects
    assert taken.object["kind"] == "NetworkPolicy"


REFUSED = (
    ("{podSelector: {}, ingress: §{}}", "expected a list"),
    ("{podSelector: {}, §ingres: []}", 'unknown field "ingres"'),
    (selecting("{§app: web}"), 'unknown field "app"'),
    (selecting("{matchLabels: {app: §1}}"), "expected a string"),
    (selecting("{matchLabels: §[app]}"), "expected an object"),
    (expression("key: a, operator: §in, values: [b]"), 'did you mean "In"?'),
    (expression("key: a, operator: §Gt, values: ['1']"), 'Unsupported value: "Gt"'),
    (selecting("{matchExpressions: [§{key: a, operator: In}]}"), "values: Required value"),
    (expression("key: a, operator: NotIn, values: §[]"), "values: Required value"),
    (expression("key: a, operator: In, values: §null"), "values: Required value"),
    (expression("key: a, operator: Exists, values: §[b]"), "may not be specified when"),
    (expression("key: a, operator: DoesNotExist, values: §[b]"), "may not be specified when"),
    (selecting("{matchExpressions: [§{operator: Exists}]}"), "key: Required value"),
    (expression("key: §'', operator: Exists"), "name part must be non-empty"),
    (selecting("{matchExpressions: [§{key: a}]}"), "operator: Required value"),
    ("{podSelector: {}, policyTypes: §Ingress}", "expected a list"),
    ("{podSelector: {}, policyTypes: [§ingress]}", 'did you mean "Ingress"?'),
    ("{podSelector: {}, policyTypes: [§null]}", "expected a string, got null"),
    ("{podSelector: {}, policyTypes: §[Ingress, Egress, Ingress]}", "more than two policyTypes"),
    (ingress("{§port: 80}"), 'unknown field "port"'),
    (ingress("{§to: [{podSelector: {}}]}"), 'unknown field "to"'),
    ("{podSelector: {}, egress: [{§from: [{podSelector: {}}]}]}", 'unknown field "from"'),
    (ingress("{from: §{podSelector: {}}}"), "expected a list"),
    (ingress("{ports: §{port: 80}}"), "expected a list"),
    (of_peer("§{}"), "must specify a peer"),
    (of_peer("§null"), "must specify a peer"),
    (of_peer("§{podSelector: null}"), "must specify a peer"),
    (of_peer("§{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}"), "may not specify both ipBlock"),
    (of_peer("§{ipBlock: {cidr: 10.0.0.0/8}, namespaceSelector: {}}"), "may not specify both ipBlock"),
    (of_peer("{§ipBlock: {}}"), "cidr: Required value"),
    (of_peer("{ipBlock: {cidr: §null}}"), "cidr: Required value"),
    (of_peer("{ipBlock: {cidr: §''}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: §10.0.0.0}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: §10.0.0.0/33}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: §10.0.0.0/255.0.0.0}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: §'fd00::/129'}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: 10.0.0.0/8, except: §10.1.0.0/16}}"), "expected a list"),
    (of_peer("{ipBlock: {cidr: 10.0.0.0/8, except: [§10.1.1.1]}}"), "must be a valid CIDR value"),
    (of_peer("{ipBlock: {cidr: 10.0.0.0/8, except: [§10.0.0.0/8]}}"), "strict subset"),
    (of_peer("{ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16, §11.0.0.0/16]}}"), "strict subset"),
    (of_peer("{ipBlock: {cidr: 10.0.0.0/8, except: [§'fd00::/16']}}"), "strict subset"),
    (of_peer("{ipBlock: {cidr: 'fd00::/64', except: [§'fd00::/48']}}"), "strict subset"),
    (of_port("{protocol: §tcp}"), 'did you mean "TCP"?'),
    (of_port("{protocol: §ICMP}"), 'supported values: "TCP", "UDP", "SCTP"'),
    (of_port("{protocol: §''}"), "Unsupported value"),
    (of_port("§80"), "expected an object"),
    (of_port("{port: §0}"), "between 1 and 65535"),
    (of_port("{port: §65536}"), "between 1 and 65535"),
    (of_port("{port: §'80'}"), "without quotes: 80"),
    (of_port("{port: §''}"), "Invalid value"),
    (of_port("{port: §80.5}"), "expected an integer or a string"),
    (of_port("{port: §Http}"), 'did you mean "http"?'),
    (of_port("{port: §a-name-of-seventeen}"), "no more than 15 characters"),
    (of_port("{port: 80, endPort: §79}"), "greater than or equal to `port`"),
    (of_port("{port: 80, endPort: §70000}"), "between 1 and 65535"),
    (of_port("{port: 80, endPort: §'90'}"), "without quotes: 90"),
    (of_port("{endPort: §90}"), "when `port` is not specified"),
    (of_port("{port: http, endPort: §90}"), "when `port` is non-numeric"),
)


@pytest.mark.parametrize(("marked", "message"), REFUSED)
def test_what_the_api_server_refuses_is_told_with_its_place(
    tmp_path: Path, marked: str, message: str
) -> None:
    """`§` marks it."""
    before, _, after = marked.partition("§")
    file = written(tmp_path, before + after)
    with pytest.raises(ManifestError) as caught:
        load([file])
    (problem,) = caught.value.problems
    assert message in str(problem)
    assert (problem.line, problem.column) == (4, len("spec: ") + len(before) + 1)
    assert str(problem).startswith(f"error: {file}:4:{problem.column}: ")
