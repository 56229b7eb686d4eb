"""The kinds that the store holds: group, version, names, scope. The one table that everything else asks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from emulator.api.objects import JsonObject

MININETES_GROUP = "mininetes.io"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object, and how its REST paths and command line names are written."""

    group: str
    """Empty for the core group."""
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = True
    """Served with a `/status` subresource; writes elsewhere leave the status alone."""
    has_generation: bool = True
    has_scale: bool = False
    categories: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    """Other versions that are served, whose objects have the same form: they are stored as of `version`."""

    @property
    def api_version(self) -> str:
        """`v1` or `apps/v1`: the `apiVersion` of objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def served(self, obj: JsonObject) -> JsonObject:
        """The object, or the list of them, as of this version."""
        if obj.get("kind") == self.kind:
            return {**obj, "apiVersion": self.api_version}
        if obj.get("kind") == f"{self.kind}List":
            return {**obj, "apiVersion": self.api_version, "items": [*map(self.served, obj["items"])]}
        return obj

    @property
    def versions(self) -> tuple[str, ...]:
        """All that are served, the stored one first."""
        return (self.version, *self.also)

    def as_of(self, version: str) -> Kind:
        """The same kind, served in another of its versions."""
        others = tuple(other for other in self.versions if other != version)
        return replace(self, version=version, also=others)

    def takes(self, api_version: str) -> bool:
        """Whether objects of this `apiVersion` are of this kind."""
        return api_version == self.api_version or any(
            api_version == f"{self.group}/{one}" for one in self.also
        )

    @property
    def singular(self) -> str:
        """The kind in lower case, as `kubectl get` accepts and prints it."""
        return self.kind.lower()

    @property
    def qualified_plural(self) -> str:
        """`services` or `deployments.apps`: how messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The REST path of the collection, an object, or an object's subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        return "/".join(part for part in (*parts, self.plural, name, subresource) if part)

    def bare_object(self, namespace: str, name: str) -> JsonObject:
        """An object of which nothing but the name is known: enough to delete it."""
        metadata = {"name": name, "namespace": namespace} if namespace and self.namespaced else {"name": name}
        return {"apiVersion": self.api_version, "kind": self.kind, "metadata": metadata}


_ALL = ("all",)

KINDS: tuple[Kind, ...] = (
    Kind("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, has_generation=False),
    Kind("", "v1", "Node", "nodes", ("no",), namespaced=False, has_generation=False),
    Kind("", "v1", "Pod", "pods", ("po",), categories=_ALL),
    Kind("", "v1", "Service", "services", ("svc",), has_generation=False, categories=_ALL),
    Kind("", "v1", "Endpoints", "endpoints", ("ep",), has_status=False, has_generation=False),
    Kind("", "v1", "ConfigMap", "configmaps", ("cm",), has_status=False, has_generation=False),
    Kind("", "v1", "Secret", "secrets", has_status=False, has_generation=False),
    Kind("", "v1", "ServiceAccount", "serviceaccounts", ("sa",), has_status=False, has_generation=False),
    Kind("", "v1", "Event", "events", ("ev",), has_status=False, has_generation=False),
    Kind("apps", "v1", "ReplicaSet", "replicasets", ("rs",), has_scale=True, categories=_ALL),
    Kind("apps", "v1", "Deployment", "deployments", ("deploy",), has_scale=True, categories=_ALL),
    Kind("apps", "v1", "StatefulSet", "statefulsets", ("sts",), has_scale=True, categories=_ALL),
    Kind("apps", "v1", "DaemonSet", "daemonsets", ("ds",), categories=_ALL),
    Kind("batch", "v1", "Job", "jobs", categories=_ALL),
    Kind("coordination.k8s.io", "v1", "Lease", "leases", has_status=False, has_generation=False),
    Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", has_status=False),
    Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", ("netpol",), has_status=False),
    Kind("networking.k8s.io", "v1", "Ingress", "ingresses", ("ing",)),
    Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False, has_status=False),
    Kind("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", namespaced=False, has_generation=False),
    Kind(
        "networking.k8s.io",
        "v1",
        "IPAddress",
        "ipaddresses",
        ("ip",),
        namespaced=False,
        has_status=False,
        has_generation=False,
    ),
    Kind(
        "policy.networking.k8s.io",
        "v1alpha2",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        ("cnp",),
        namespaced=False,
        also=("v1beta1",),
    ),
    Kind(
        "policy.networking.k8s.io",
        "v1alpha1",
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
        ("anp",),
        namespaced=False,
    ),
    Kind(
        "policy.networking.k8s.io",
        "v1alpha1",
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
        ("banp",),
        namespaced=False,
    ),
    Kind(MININETES_GROUP, "v1", "Topology", "topologies", ("topo",), namespaced=False),
)

_BY_KIND = {kind.kind: kind for kind in KINDS}
_BY_RESOURCE = {
    (kind.group, version, kind.plural): kind.as_of(version) for kind in KINDS for version in kind.versions
}
_BY_WORD = {
    word: kind
    for kind in KINDS
    for word in (kind.singular, kind.plural, kind.qualified_plural, *kind.short_names)
}


def kind_named(name: str) -> Kind:
    """The kind spelled exactly so (`Service`). Raises KeyError when there is none."""
    return _BY_KIND[name]


def find_kind(api_version: str, kind: str) -> Kind | None:
    """The stored kind of an object with this `apiVersion` and `kind`, if there is one."""
    found = _BY_KIND.get(kind)
    return found if found is not None and found.takes(api_version) else None


def find_resource(group: str, version: str, plural: str) -> Kind | None:
    """The kind behind a REST path, if there is one."""
    return _BY_RESOURCE.get((group, version, plural))


def find_word(word: str) -> Kind | None:
    """The kind that a user means by `svc`, `service`, `Services`, `deployments.apps`, ..."""
    return _BY_WORD.get(word.lower())
