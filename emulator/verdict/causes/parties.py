"""Whom a policy has judged, as manifests select them."""

from __future__ import annotations

from emulator.cluster.model import Pod
from emulator.oracle.answer import Judged
from emulator.verdict.diagnose.evidence import Evidence

_PASSING = frozenset(
    {
        "apps.kubernetes.io/pod-index",
        "batch.kubernetes.io/controller-uid",
        "controller-revision-hash",
        "controller-uid",
        "pod-template-generation",
        "pod-template-hash",
        "statefulset.kubernetes.io/pod-name",
    }
)
"""Labels that controllers give: those of one pod, or of one revision of its template."""
NAMESPACE_NAME = "kubernetes.io/metadata.name"


def pod_of(evidence: Evidence, judged: Judged) -> Pod | None:
    """The pod at the other end; None where it is none that selectors mean."""
    pods = (pod for pod in evidence.state.pods if not pod.host_network)
    return next((pod for pod in pods if judged.peer in pod.addresses), None)


def node_of(evidence: Evidence, judged: Judged) -> str | None:
    """The node whose address the other end has."""
    for node in evidence.state.wiring.nodes:
        if any(judged.peer == interface.ip for interface in node.addresses):
            return node.name
    return None


def whole(judged: Judged) -> str:
    """The other end's address as a range: `10.244.1.3/32`."""
    return f"{judged.peer}/{judged.peer.max_prefixlen}"


def selectors(pod: Pod) -> tuple[str, str]:
    """YAML of the namespaceSelector and the podSelector that mean the pod and its likes."""
    lasting = ((key, value) for key, value in sorted(pod.labels.items()) if key not in _PASSING)
    labels = ", ".join(f"{key}: {value}" for key, value in lasting)
    return (
        f"namespaceSelector: {{matchLabels: {{{NAMESPACE_NAME}: {pod.ref.namespace}}}}}",
        f"podSelector: {{matchLabels: {{{labels}}}}}" if labels else "podSelector: {}",
    )
