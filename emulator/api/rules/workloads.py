"""Deployments, ReplicaSets, StatefulSets, DaemonSets and Jobs."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.findings import Finding, forbidden, invalid, not_supported, required
from emulator.api.names import dns1123_label
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import (
    has_form,
    items,
    label_selector,
    labels,
    not_negative,
    number_or_percent,
    one_of,
    unique,
)
from emulator.api.rules.pods import pod_spec_findings
from emulator.api.selectors import SelectorError, matches

_PATH: Path = ("spec",)
_TEMPLATE: Path = ("spec", "template")
_COUNTS = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")


def deployment_findings(deployment: JsonObject) -> list[Finding]:
    """What is wrong with a Deployment."""
    spec = deployment.get("spec") or {}
    strategy, path = spec.get("strategy") or {}, (*_PATH, "strategy")
    return [
        *_workload(spec),
        *one_of(strategy, "type", ("Recreate", "RollingUpdate"), path),
        *_rolling(strategy, path, ("maxUnavailable", "maxSurge")),
    ]


def replica_set_findings(replica_set: JsonObject) -> list[Finding]:
    """What is wrong with a ReplicaSet."""
    return list(_workload(replica_set.get("spec") or {}))


def daemon_set_findings(daemon_set: JsonObject) -> list[Finding]:
    """What is wrong with a DaemonSet."""
    spec = daemon_set.get("spec") or {}
    strategy, path = spec.get("updateStrategy") or {}, (*_PATH, "updateStrategy")
    return [
        *_workload(spec),
        *one_of(strategy, "type", ("OnDelete", "RollingUpdate"), path),
        *_rolling(strategy, path, ("maxUnavailable", "maxSurge")),
    ]


def stateful_set_findings(stateful_set: JsonObject) -> list[Finding]:
    """What is wrong with a StatefulSet."""
    spec = stateful_set.get("spec") or {}
    strategy, path = spec.get("updateStrategy") or {}, (*_PATH, "updateStrategy")
    claims = list(items(spec, "volumeClaimTemplates", _PATH))
    names = [((c.get("metadata") or {}).get("name"), (*here, "metadata", "name")) for c, here in claims]
    # The claims of the set are volumes of its pods, though the template does not list them.
    template = spec.get("template") or {}
    pod = template.get("spec") or {}
    volumes = [*(pod.get("volumes") or ()), *({"name": name, "emptyDir": {}} for name, _ in names)]
    complete = {**spec, "template": {**template, "spec": {**pod, "volumes": volumes}}}
    return [
        *_workload(complete),
        *one_of(spec, "podManagementPolicy", ("OrderedReady", "Parallel"), _PATH),
        *one_of(strategy, "type", ("OnDelete", "RollingUpdate"), path),
        *_rolling(strategy, path, ("maxUnavailable",)),
        *not_negative(strategy.get("rollingUpdate") or {}, ("partition",), (*path, "rollingUpdate")),
        *has_form(spec.get("serviceName") or None, (*_PATH, "serviceName"), dns1123_label),
        *unique(names),
        *(required(here) for name, here in names if not name),
    ]


def _workload(spec: JsonObject) -> Iterator[Finding]:
    """What is common to workloads whose pods run for ever."""
    yield from not_negative(spec, _COUNTS, _PATH)
    yield from _selector(spec)
    yield from _template(spec)
    policy = _pod_spec(spec).get("restartPolicy")
    if policy not in (None, "Always"):
        yield not_supported((*_TEMPLATE, "spec", "restartPolicy"), policy, ("Always",))
    if _pod_spec(spec).get("activeDeadlineSeconds") is not None:
        yield forbidden(
            (*_TEMPLATE, "spec", "activeDeadlineSeconds"), "activeDeadlineSeconds is not supported here"
        )


def _pod_spec(spec: JsonObject) -> JsonObject:
    return (spec.get("template") or {}).get("spec") or {}


def _template(spec: JsonObject) -> Iterator[Finding]:
    template = spec.get("template")
    if not isinstance(template, dict):
        return
    found = (template.get("metadata") or {}).get("labels")
    yield from labels(found, (*_TEMPLATE, "metadata", "labels"))
    if "spec" not in template:
        yield required((*_TEMPLATE, "spec"))
    else:
        yield from pod_spec_findings(template["spec"] or {}, (*_TEMPLATE, "spec"))


def _selector(spec: JsonObject) -> Iterator[Finding]:
    path = (*_PATH, "selector")
    selector = spec.get("selector")
    if selector is None:
        yield required(path)
        return
    findings = list(label_selector(selector, path))
    yield from findings
    if findings:
        return
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield invalid(path, selector, "empty selector is invalid for workloads")
        return
    template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    try:
        fits = matches(selector, template_labels)
    except SelectorError:
        return
    if not fits:
        detail = "`selector` does not match template `labels`"
        yield invalid((*_TEMPLATE, "metadata", "labels"), template_labels, detail)


def _rolling(strategy: JsonObject, path: Path, fields: tuple[str, ...]) -> Iterator[Finding]:
    update = strategy.get("rollingUpdate")
    if not isinstance(update, dict):
        return
    here = (*path, "rollingUpdate")
    if strategy.get("type") in ("Recreate", "OnDelete"):
        yield forbidden(here, f"may not be specified when strategy `type` is '{strategy['type']}'")
        return
    for field in fields:
        yield from number_or_percent(update, field, here)
    if fields == ("maxUnavailable", "maxSurge") and all(update.get(field) in (0, "0%") for field in fields):
        yield invalid(
            (*here, "maxUnavailable"), update["maxUnavailable"], "may not be 0 when `maxSurge` is 0"
        )


def job_findings(job: JsonObject) -> list[Finding]:
    """What is wrong with a Job."""
    return list(_job(job.get("spec") or {}))


def _job(spec: JsonObject) -> Iterator[Finding]:
    counts = (
        "parallelism",
        "completions",
        "backoffLimit",
        "activeDeadlineSeconds",
        "ttlSecondsAfterFinished",
    )
    yield from not_negative(spec, counts, _PATH)
    yield from one_of(spec, "completionMode", ("Indexed", "NonIndexed"), _PATH)
    if spec.get("completionMode") == "Indexed" and spec.get("completions") is None:
        yield required((*_PATH, "completions"), "when completion mode is Indexed")
    if spec.get("selector") is not None and not spec.get("manualSelector"):
        yield invalid((*_PATH, "selector"), spec["selector"], "`selector` not auto-generated", "leave it out")
    yield from _template(spec)
    policy = _pod_spec(spec).get("restartPolicy")
    path = (*_TEMPLATE, "spec", "restartPolicy")
    if policy is None and isinstance(spec.get("template"), dict):
        yield required(path, 'valid values: "OnFailure", "Never"')
    elif policy not in (None, "OnFailure", "Never"):
        yield not_supported(path, policy, ("OnFailure", "Never"))
