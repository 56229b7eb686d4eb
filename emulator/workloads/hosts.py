"""Names inside a pod: its hostname and the files below `/etc` that kubelet manages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emulator.api.objects import JsonObject

_HEADER = "# Kubernetes-managed hosts file.\n"
_NODE_HEADER = "# Kubernetes-managed hosts file (host network).\n"
_MANAGED = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
"""
NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\nservices: files\n"
"""Names are looked up as in images, whatever this machine does itself (mDNS, systemd-resolved)."""
LONGEST_HOSTNAME = 64
"""Characters that the kernel takes."""
_MOST_NAMESERVERS = 3
_MOST_SEARCHES = 32
_MOST_SEARCH_CHARACTERS = 2048


@dataclass(frozen=True, slots=True)
class Dns:
    """What pods of a cluster are told about names."""

    domain: str = "cluster.local"
    nameservers: tuple[str, ...] = ()
    """Cluster IPs of the DNS service; without any, every pod is told what its node is told."""
    node_nameservers: tuple[str, ...] = ()
    node_searches: tuple[str, ...] = ()


def hostname_of(pod: JsonObject) -> str:
    """The pod's hostname; a pod of the host network has its node's."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return str(spec.get("nodeName") or "")
    return str(spec.get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


def fqdn_of(pod: JsonObject, domain: str) -> str:
    """The pod's name in DNS; empty for one without a subdomain."""
    subdomain = pod["spec"].get("subdomain")
    if not subdomain or pod["spec"].get("hostNetwork"):
        return ""
    return f"{hostname_of(pod)}.{subdomain}.{pod['metadata']['namespace']}.svc.{domain}"


def kernel_hostname_of(pod: JsonObject, domain: str) -> str:
    """What `hostname` prints: the hostname, or with `setHostnameAsFQDN` the pod's name in DNS."""
    fqdn = fqdn_of(pod, domain) if pod["spec"].get("setHostnameAsFQDN") else ""
    return fqdn or hostname_of(pod)


def hosts_file(pod: JsonObject, domain: str) -> str:
    """`/etc/hosts`: localhost, the pod's own addresses and names, then its hostAliases."""
    host_network = bool(pod["spec"].get("hostNetwork"))
    lines = [_NODE_HEADER if host_network else _HEADER, _MANAGED]
    if not host_network:
        names = "\t".join(name for name in (fqdn_of(pod, domain), hostname_of(pod)) if name)
        status = pod.get("status") or {}
        addresses = [entry["ip"] for entry in status.get("podIPs") or ()] or [status.get("podIP")]
        lines += [f"{address}\t{names}\n" for address in addresses if address]
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines.append("\n# Entries added by HostAliases.\n")
        lines += [f"{alias['ip']}\t{chr(9).join(alias.get('hostnames') or ())}\n" for alias in aliases]
    return "".join(lines)


def resolv_conf(pod: JsonObject, dns: Dns) -> str:
    """`/etc/resolv.conf`, by the pod's dnsPolicy and dnsConfig."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and not dns.nameservers:
        policy = "Default"
    nameservers: Sequence[str] = ()
    searches: Sequence[str] = ()
    options: dict[str, str | None] = {}
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        zone = f"svc.{dns.domain}"
        nameservers = dns.nameservers
        searches = (f"{pod['metadata']['namespace']}.{zone}", zone, dns.domain, *dns.node_searches)
        options = {"ndots": "5"}
    elif policy == "Default":
        nameservers, searches = dns.node_nameservers, dns.node_searches
    config = spec.get("dnsConfig") or {}
    nameservers = _unique(nameservers, config.get("nameservers"))[:_MOST_NAMESERVERS]
    searches = _fitting(_unique(searches, config.get("searches")))
    options |= {option["name"]: option.get("value") for option in config.get("options") or ()}
    lines = [f"search {' '.join(searches)}"] if searches else []
    lines += [f"nameserver {address}" for address in nameservers]
    if options:
        words = (name if value is None else f"{name}:{value}" for name, value in options.items())
        lines.append(f"options {' '.join(words)}")
    return "".join(f"{line}\n" for line in lines)


def _unique(first: Sequence[str], more: Sequence[str] | None) -> list[str]:
    return list(dict.fromkeys((*first, *(more or ()))))


def _fitting(searches: Sequence[str]) -> list[str]:
    """As many search domains as a resolver takes."""
    kept: list[str] = []
    for search in searches[:_MOST_SEARCHES]:
        if len(" ".join((*kept, search))) > _MOST_SEARCH_CHARACTERS:
            break
        kept.append(search)
    return kept
