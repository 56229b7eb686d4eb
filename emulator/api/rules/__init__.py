"""What the API server checks beyond the schema, one module a family of kinds.

Rules see objects as their authors wrote them (types right, defaults not yet filled in), and answer with
findings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.api.findings import Finding
from emulator.api.objects import JsonObject
from emulator.api.rules.addresses import ip_address_findings, service_cidr_findings
from emulator.api.rules.cluster_policies import (
    admin_network_policy_findings,
    cluster_network_policy_findings,
)
from emulator.api.rules.config import config_map_findings, node_findings, secret_findings
from emulator.api.rules.endpoints import endpoint_slice_findings, endpoints_findings
from emulator.api.rules.ingresses import ingress_class_findings, ingress_findings
from emulator.api.rules.pods import pod_findings
from emulator.api.rules.policies import network_policy_findings
from emulator.api.rules.services import service_findings
from emulator.api.rules.workloads import (
    daemon_set_findings,
    deployment_findings,
    job_findings,
    replica_set_findings,
    stateful_set_findings,
)

Rule = Callable[[JsonObject], list[Finding]]

RULES: Mapping[str, Rule] = {
    "AdminNetworkPolicy": admin_network_policy_findings,
    "BaselineAdminNetworkPolicy": admin_network_policy_findings,
    "ClusterNetworkPolicy": cluster_network_policy_findings,
    "ConfigMap": config_map_findings,
    "DaemonSet": daemon_set_findings,
    "Deployment": deployment_findings,
    "EndpointSlice": endpoint_slice_findings,
    "Endpoints": endpoints_findings,
    "Ingress": ingress_findings,
    "IngressClass": ingress_class_findings,
    "IPAddress": ip_address_findings,
    "Job": job_findings,
    "NetworkPolicy": network_policy_findings,
    "Node": node_findings,
    "Pod": pod_findings,
    "ReplicaSet": replica_set_findings,
    "Secret": secret_findings,
    "Service": service_findings,
    "ServiceCIDR": service_cidr_findings,
    "StatefulSet": stateful_set_findings,
}
"""The rules of each kind that has any."""
