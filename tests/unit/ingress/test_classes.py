"""Who serves an Ingress: classes, the old annotation, defaults, and controllers by their images."""

from __future__ import annotations

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.cluster.ingress.certificates import pair_in
from emulator.cluster.ingress.controllers import OWN_NAME, controllers, flavour_of
from emulator.cluster.ingress.routing import route
from emulator.cluster.ingress.status import complaints
from tests.unit.cluster.lab import Lab, service, workload
from tests.unit.ingress.objects import (
    NOW,
    IngressLab,
    controller_pod,
    ingress,
    ingress_class,
    rule,
)

EVERYTHING = rule(None, ("Prefix", "/", "a"))


def served(lab: Lab, name: str = "x") -> bool:
    snapshot = lab.snapshot()
    return any(one.serves(lab.get("Ingress", name), snapshot) for one in controllers(snapshot))


def said(lab: Lab) -> str:
    return "\n".join(complaints(lab.snapshot(), NOW))


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("mininetes/ingress-controller", OWN_NAME),
        ("registry.k8s.io/ingress-nginx/controller:v1.11.2@sha256:d5f8", "k8s.io/ingress-nginx"),
        ("nginx/nginx-ingress:3.6", "nginx.org/ingress-controller"),
        ("haproxytech/kubernetes-ingress", "haproxy.org/ingress-controller"),
        ("quay.io/jcmoraisjr/haproxy-ingress:v0.14", "haproxy-ingress.github.io/controller"),
        ("traefik:v3.1", "traefik.io/ingress-controller"),
    ],
)
def test_controllers_are_known_by_their_images(image: str, name: str) -> None:
    flavour = flavour_of(image)
    assert flavour is not None
    assert name in flavour.names


@pytest.mark.parametrize("image", ["nginx", "traefik/whoami", "haproxy:3.0", "shop/controller"])
def test_other_images_are_no_controllers(image: str) -> None:
    assert flavour_of(image) is None


def test_a_class_is_served_by_the_controller_that_it_names() -> None:
    lab = IngressLab(ingress("x", EVERYTHING), ingress_class("other", "example.com/other"))
    lab.apply(ingress("y", EVERYTHING, ingressClassName="other"))
    assert served(lab)
    assert not served(lab, "y")
    assert 'class "other" wants the controller "example.com/other"' in said(lab)


def test_a_class_of_a_controller_that_we_stand_in_for() -> None:
    lab = IngressLab(ingress_class("nginx", "k8s.io/ingress-nginx"))
    lab.apply(ingress("x", EVERYTHING, ingressClassName="nginx"))
    assert served(lab)


def test_nginx_serves_its_own_class_only() -> None:
    lab = Lab()
    lab.apply(ingress_class(), ingress_class("nginx", "k8s.io/ingress-nginx"))
    lab.run(controller_pod("ingress-nginx/controller"))
    lab.apply(ingress("x", EVERYTHING), ingress("y", EVERYTHING, ingressClassName="nginx"))
    assert (served(lab, "x"), served(lab, "y")) == (False, True)


@pytest.mark.parametrize(
    ("annotation", "arguments", "expected"),
    [
        ("nginx", [], True),
        ("haproxy", [], False),
        ("blue", ["--ingress-class=blue"], True),
        ("nginx", ["--ingress-class=blue"], False),
    ],
)
def test_the_old_annotation(annotation: str, arguments: list[str], expected: bool) -> None:
    lab = Lab()
    lab.run(controller_pod("ingress-nginx/controller", args=["/nginx-ingress-controller", *arguments]))
    old = {"kubernetes.io/ingress.class": annotation}
    lab.apply(ingress("x", EVERYTHING, annotations=old, ingressClassName=None))
    assert served(lab) == expected


def test_another_controller_class_by_its_argument() -> None:
    lab = Lab()
    lab.run(controller_pod("ingress-nginx/controller", args=["--controller-class=k8s.io/internal"]))
    lab.apply(ingress_class("in", "k8s.io/internal"), ingress_class("out", "k8s.io/ingress-nginx"))
    lab.apply(
        ingress("x", EVERYTHING, ingressClassName="in"), ingress("y", EVERYTHING, ingressClassName="out")
    )
    assert (served(lab, "x"), served(lab, "y")) == (True, False)


@pytest.mark.parametrize("flag", ["", "--watch-ingress-without-class=true"])
def test_no_class_at_all(flag: str) -> None:
    lab = Lab()
    lab.run(controller_pod("ingress-nginx/controller", args=[flag]))
    lab.apply(ingress("x", EVERYTHING, ingressClassName=None))
    assert served(lab) == bool(flag)


def ports(container: JsonObject) -> tuple[int, int, tuple[int, ...]]:
    lab = Lab()
    lab.run(controller_pod(**container))
    (found,) = controllers(lab.snapshot())
    return found.http, found.https, found.health


def test_ports_of_published_manifests() -> None:
    probe = {"httpGet": {"path": "/healthz", "port": 10254}}
    assert ports({"image": "ingress-nginx/controller", "livenessProbe": probe}) == (80, 443, (10254,))
    assert ports({"image": "ingress-nginx/controller", "args": ["--http-port=8080"]}) == (8080, 443, ())
    assert ports({"image": "haproxytech/kubernetes-ingress"}) == (8080, 8443, ())
    traefik = ["--entryPoints.web.address=:8000/tcp", "--entrypoints.websecure.address=:8443"]
    assert ports({"image": "traefik", "args": traefik}) == (8000, 8443, ())
    named = [{"name": "http", "containerPort": 8001}, {"name": "ping", "containerPort": 9000}]
    found = {"image": "traefik", "ports": named, "readinessProbe": {"httpGet": {"port": "ping"}}}
    assert ports(found) == (8001, 443, (9000,))


# -- the default class


def test_the_default_class_is_filled_in_on_creation_only() -> None:
    lab = IngressLab(ingress_class("usual", default=True))
    lab.apply(ingress("x", EVERYTHING, ingressClassName=None))
    assert lab.get("Ingress", "x")["spec"]["ingressClassName"] == "usual"
    lab.change("Ingress", "x", lambda obj: obj["spec"].pop("ingressClassName"))
    assert "ingressClassName" not in lab.get("Ingress", "x")["spec"]


def test_the_annotation_keeps_the_default_away() -> None:
    lab = IngressLab(ingress_class("usual", default=True))
    old = {"kubernetes.io/ingress.class": "haproxy"}
    lab.apply(ingress("x", EVERYTHING, ingressClassName=None, annotations=old))
    assert "ingressClassName" not in lab.get("Ingress", "x")["spec"]


def test_two_default_classes_refuse_an_ingress_without_one() -> None:
    lab = IngressLab(ingress_class("one", default=True), ingress_class("two", default=True))
    with pytest.raises(ApiError) as refused:
        lab.apply(ingress("x", EVERYTHING, ingressClassName=None))
    assert refused.value.code == 403
    assert "2 default IngressClasses were found, only 1 allowed" in refused.value.message
    lab.apply(ingress("y", EVERYTHING, ingressClassName="one"))


def test_a_new_ingress_names_its_class_in_one_way() -> None:
    lab = IngressLab()
    with pytest.raises(ApiError) as refused:
        lab.apply(ingress("x", EVERYTHING, annotations={"kubernetes.io/ingress.class": "haproxy"}))
    assert refused.value.code == 422
    assert "can not be set when the class field is also set" in refused.value.message


# -- what a user is told


def test_an_ingress_of_a_blog_is_told_how_to_be_served() -> None:
    lab = Lab()
    lab.apply(service("a"), ingress("x", EVERYTHING, ingressClassName="nginx"))
    assert said(lab) == (
        'Ingress default/x is not served: there is no IngressClass "nginx", so no controller takes it; '
        "install one: mininetes apply -f ingress-controller"
    )


def test_other_reasons_not_to_be_served() -> None:
    lab = Lab()
    lab.apply(ingress("x", EVERYTHING, ingressClassName=None))
    assert "it names no class" in said(lab)
    lab.apply(ingress_class(), ingress("y", EVERYTHING))
    assert f'no pod of the controller "{OWN_NAME}" of class "haproxy" runs' in said(lab)
    lab.run(controller_pod(), service("a"))
    assert "set spec.ingressClassName to one of: haproxy" in said(lab)
    lab.apply(ingress("z", EVERYTHING, ingressClassName="other"))
    assert "the controller that runs serves the class haproxy" in said(lab)


def test_nothing_is_said_where_all_is_well() -> None:
    assert said(IngressLab()) == ""
    assert said(IngressLab(ingress("x", EVERYTHING))) == ""


def test_the_webhooks_secret_of_the_published_manifest_is_made() -> None:
    """Its controller mounts what a Job is to create."""
    arguments = ["create", "--host=front,front.$(POD_NAMESPACE).svc", "--secret-name=admission"]
    image = "registry.k8s.io/ingress-nginx/kube-webhook-certgen:v1.4.3"
    containers = [{"name": "create", "image": image, "args": arguments}]
    lab = Lab()
    lab.apply(workload("Job", "create", {"containers": containers, "restartPolicy": "OnFailure"}))
    assert pair_in(lab.get("Secret", "admission")).names == ("front",)


def test_a_default_backend_that_cannot_serve_is_404() -> None:
    lab = Lab()
    away = service("away", type="ExternalName", externalName="example.com", selector=None)
    lab.run(away, controller_pod("ingress-nginx/controller", args=["--default-backend-service=default/away"]))
    (controller,) = controllers(lab.snapshot())
    assert controller.default_backend == ("default", "away")
    assert route(lab.snapshot(), controller, NOW).routing.default == ""
    lab.run(service("b"))
    other = controller_pod("ingress-nginx/controller", "x", args=["--default-backend-service=default/b"])
    lab.delete("Pod", "controller", grace=0)
    lab.run(other)
    (controller,) = controllers(lab.snapshot())
    assert route(lab.snapshot(), controller, NOW).routing.default == "default_b_80"
