"""Which class an Ingress names, and the class that it gets when it names none."""

from __future__ import annotations

from collections.abc import Iterable

from emulator.api.errors import forbidden_action, invalid_object
from emulator.api.findings import invalid
from emulator.api.kinds import kind_named
from emulator.api.objects import JsonObject

ANNOTATION = "kubernetes.io/ingress.class"
"""How Ingresses named their class before `spec.ingressClassName`; controllers still obey it."""
DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def legacy_class_of(ingress: JsonObject) -> str:
    """The class that the old annotation names; empty without one."""
    return str((ingress["metadata"].get("annotations") or {}).get(ANNOTATION) or "")


def class_of(ingress: JsonObject) -> str:
    """The class that an Ingress names, the annotation first, as controllers read it; empty for none."""
    return legacy_class_of(ingress) or str(ingress["spec"].get("ingressClassName") or "")


def is_default(ingress_class: JsonObject) -> bool:
    """Whether new Ingresses without a class get this one."""
    return (ingress_class["metadata"].get("annotations") or {}).get(DEFAULT) == "true"


def with_default_class(new: JsonObject, classes: Iterable[JsonObject]) -> JsonObject:
    """A new Ingress, with the default class when it names none.

    Raises ApiError: 403 when there are several defaults, 422 when the Ingress names its class in both ways,
    as the API server's admission `DefaultIngressClass` and its validation of new Ingresses do.
    """
    annotated, named = legacy_class_of(new), new["spec"].get("ingressClassName")
    if annotated and named:
        path = ("metadata", "annotations", ANNOTATION)
        finding = invalid(path, annotated, "can not be set when the class field is also set")
        raise invalid_object(kind_named("Ingress"), new["metadata"]["name"], [finding])
    if annotated or named:
        return new
    defaults = [one["metadata"]["name"] for one in classes if is_default(one)]
    if len(defaults) > 1:
        why = (
            f"Internal error occurred: {len(defaults)} default IngressClasses were found, only 1 allowed "
            f"({', '.join(sorted(defaults))})"
        )
        raise forbidden_action(kind_named("Ingress"), new["metadata"]["name"], why)
    if not defaults:
        return new
    return {**new, "spec": {**new["spec"], "ingressClassName": defaults[0]}}
