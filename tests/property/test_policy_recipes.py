"""What people paste from tutorials: each recipe with the table of who reaches whom that it promises.

Nine pods: `a` is the application, `b` its client, `c` a stranger, in x, y and z. The tables are written by
hand. (The namespace y is quoted: YAML 1.1, and so Kubernetes, takes the bare letter for true.)
"""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.pipeline.compile import Compiler
from emulator.api.load import load
from emulator.cluster.model import Protocol
from tests.property.policy_places import Compiled
from tests.system.policies.table import expected

COMPILER = Compiler()
RECIPES = {
    "deny all traffic to an application": (
        "podSelector: {matchLabels: {pod: a}}\ningress: []",
        ["x/a <-"],
    ),
    "limit traffic to an application": (
        "podSelector: {matchLabels: {pod: a}}\ningress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]",
        ["x/a <- x/b"],
    ),
    "allow all traffic to an application": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- {}",
        [],
    ),
    "deny all traffic of a namespace, ingress by default": ("podSelector: {}\ningress: []", ["x/* <-"]),
    "deny everything, both ways": (
        "podSelector: {}\npolicyTypes:\n- Ingress\n- Egress",
        ["x/* <-", "x/* ->"],
    ),
    "deny all but what comes from the namespace": (
        "podSelector:\n  matchLabels:\ningress:\n- from:\n  - podSelector: {}",
        ["x/* <- x/*"],
    ),
    "allow from all namespaces": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- from:\n  - namespaceSelector: {}",
        [],
    ),
    "allow from one namespace": (
        "podSelector: {}\ningress:\n- from:\n  - namespaceSelector:\n      matchLabels:\n        ns: 'y'",
        ["x/* <- y/*"],
    ),
    "allow from some pods of another namespace: and": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- from:\n"
        "  - namespaceSelector:\n      matchLabels: {ns: 'y'}\n    podSelector:\n      matchLabels: {pod: b}",
        ["x/a <- y/b"],
    ),
    "the same with one dash more: or": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- from:\n"
        "  - namespaceSelector:\n      matchLabels: {ns: 'y'}\n  - podSelector:\n      matchLabels: {pod: b}",
        ["x/a <- y/* x/b"],
    ),
    "only one port": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- ports:\n  - port: 80",
        ["x/a:81 <-"],
    ),
    "only one port, and only for the client: one rule": (
        "podSelector: {matchLabels: {pod: a}}\n"
        "ingress:\n- ports:\n  - port: 80\n  from:\n  - podSelector: {matchLabels: {pod: b}}",
        ["x/a:80 <- x/b", "x/a:81 <-"],
    ),
    "the same as two rules opens more": (
        "podSelector: {matchLabels: {pod: a}}\n"
        "ingress:\n- ports:\n  - port: 80\n- from:\n  - podSelector: {matchLabels: {pod: b}}",
        ["x/a:81 <- x/b"],
    ),
    "a port by the name that the pod gives it": (
        "podSelector: {}\ningress:\n- ports:\n  - port: web",
        ["x/a:81 <-", "x/b:80 <-", "x/c <-"],
    ),
    "traffic from outside alone: everything but the cluster's pods": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- from:\n"
        "  - ipBlock:\n      cidr: 0.0.0.0/0\n      except:\n      - 10.244.0.0/16\n"
        "  - ipBlock:\n      cidr: ::/0\n      except:\n      - fd00:10:244::/48",
        ["x/a <-"],
    ),
    "from everywhere, as it is written for load balancers": (
        "podSelector: {matchLabels: {pod: a}}\ningress:\n- from: []",
        [],
    ),
    "deny egress of an application": (
        "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]\negress: []",
        ["x/a ->"],
    ),
    "deny egress of an application, but for names": (
        "podSelector: {matchLabels: {pod: a}}\npolicyTypes: [Egress]\n"
        "egress:\n- ports:\n  - {port: 53, protocol: UDP}\n  - {port: 53, protocol: TCP}\n"
        "  to:\n  - namespaceSelector: {}",
        ["x/a ->"],
    ),
    "egress within the namespace alone": (
        "podSelector: {}\npolicyTypes: [Egress]\negress:\n- to:\n  - podSelector: {}",
        ["x/* -> x/*"],
    ),
    "deny what goes out of the cluster": (
        "podSelector: {}\npolicyTypes: [Egress]\negress:\n- to:\n  - namespaceSelector: {}",
        [],
    ),
    "egress rules without policyTypes isolate for ingress, too": (
        "podSelector: {matchLabels: {pod: a}}\negress:\n- to:\n  - podSelector: {matchLabels: {pod: b}}",
        ["x/a -> x/b", "x/a <-"],
    ),
}


@pytest.mark.parametrize(("spec", "rows"), RECIPES.values(), ids=RECIPES)
def test_a_recipe_does_what_it_promises(tmp_path: Path, spec: str, rows: list[str]) -> None:
    file = tmp_path / "policy.yaml"
    body = spec.replace("\n", "\n  ")
    file.write_text(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata:\n  name: recipe\n  namespace: x\nspec:\n  {body}\n"
    )
    (found,) = load([file]).objects
    assert Compiled.of(COMPILER, [found.object]).ways(Protocol.TCP) == expected(rows)
