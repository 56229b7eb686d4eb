"""The Secret that ingress-nginx's published manifest has a Job make for its admission webhook.

Its controller mounts that Secret, so without it the pod would wait for ever. Nothing here calls webhooks:
what matters is that the Secret is there, with some certificate in it.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create
from emulator.cluster.images import image_names
from emulator.cluster.ingress.issued import SELF_SIGNED
from emulator.cluster.snapshot import Snapshot

_IMAGE = "kube-webhook-certgen"


def webhook_certificates(snapshot: Snapshot) -> Iterator[Change]:
    """What Jobs that run kube-webhook-certgen's `create` would make, where it is not there yet."""
    for job in snapshot.all("Job"):
        for container in job["spec"]["template"]["spec"].get("containers") or ():
            words = [*(container.get("command") or ()), *(container.get("args") or ())]
            if _IMAGE in image_names(container.get("image") or "") and "create" in words:
                yield from _secret(snapshot, job, words)


def _secret(snapshot: Snapshot, job: JsonObject, words: list[str]) -> Iterator[Change]:
    flags = dict(word.lstrip("-").partition("=")[::2] for word in words if word.startswith("-"))
    namespace, name = job["metadata"]["namespace"], flags.get("secret-name")
    if not name or snapshot.get("Secret", namespace, name) is not None:
        return
    hosts = flags.get("host", "").split(",")
    named = ",".join(host for host in hosts if host and "$" not in host)
    yield Create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {SELF_SIGNED: named or f"{name}.{namespace}.svc"},
            },
            "data": {"tls.crt": "", "tls.key": ""},
        }
    )
