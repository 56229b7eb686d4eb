"""NetworkPolicies as `describe` writes them."""

from __future__ import annotations

import pytest
import yaml

from emulator.cli.policytext import policy_lines

FULL = """
spec:
  podSelector: {matchLabels: {role: db}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}
    - {namespaceSelector: {matchLabels: {project: my}}, podSelector: {}}
    ports: [{port: 6379, protocol: TCP}, {port: 80, endPort: 90, protocol: UDP}, {protocol: SCTP}]
  - {}
  egress: []
"""
DESCRIBED = """\
Spec:
  PodSelector:     role=db
  Allowing ingress traffic:
    To Port: 6379/TCP
    To Port: 80-90/UDP
    To Port: <any>/SCTP
    From:
      IPBlock:
        CIDR: 172.17.0.0/16
        Except: 172.17.1.0/24
    From:
      NamespaceSelector: project=my
      PodSelector: <none>
    ----------
    To Port: <any> (traffic allowed to all ports)
    From: <any> (traffic not restricted by source)
  Allowing egress traffic:
    <none> (Selected pods are isolated for egress connectivity)
  Policy Types: Ingress, Egress
"""
DENY = """\
Spec:
  PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)
  Not affecting ingress traffic
  Allowing egress traffic:
    To Port: <any> (traffic allowed to all ports)
    To: <any> (traffic not restricted by destination)
  Policy Types: Egress
"""


@pytest.mark.parametrize(
    ("policy", "text"),
    [(FULL, DESCRIBED), ("spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}", DENY)],
)
def test_a_policy_in_words(policy: str, text: str) -> None:
    assert "".join(f"{line}\n" for line in policy_lines(yaml.safe_load(policy))) == text
