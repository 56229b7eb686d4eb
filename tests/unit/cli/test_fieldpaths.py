from __future__ import annotations

import pytest

from emulator.cli.fieldpaths import FieldPathError, columns, render

NODE = {
    "metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "a"}},
    "status": {
        "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}, {"type": "Hostname", "address": "n1"}]
    },
    "spec": {"ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53}], "on": True},
}
LIST = {"kind": "List", "items": [NODE, {"metadata": {"name": "n2"}}]}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{.metadata.name}", "n1"),
        (".metadata.name", "n1"),
        ("{$.metadata.name}", "n1"),
        ("{@.metadata['name']}", "n1"),
        (r"{.metadata.labels.topology\.kubernetes\.io/zone}", "a"),
        ('{.status.addresses[?(@.type=="InternalIP")].address}', "1.2.3.4"),
        ("{.spec.ports[?(@.port>60)].name}", "http"),
        ("{.spec.ports[?(@.name)].port}", "80 53"),
        ("{.spec.ports[*].port}", "80 53"),
        ("{.spec.ports[-1].port}", "53"),
        ("{.spec.ports[0,1].name}", "http dns"),
        ("{.spec.ports[0:1].name}", "http"),
        ("{.spec.on}", "true"),
        ("{.spec.ports[0]}", '{"name":"http","port":80}'),
        ("{..port}", "80 53"),
        ("{.nothing.here}", ""),
        ("port {.spec.ports[0].port}!", "port 80!"),
        ("{.status.loadBalancer.ingress[0].ip}", ""),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render(template, NODE) == text


def test_a_range_repeats() -> None:
    template = '{range .items[*]}{.metadata.name}{"\\t"}{.spec.ports[0].port}{"\\n"}{end}'
    assert render(template, LIST) == "n1\t80\nn2\t\n"


def test_custom_columns() -> None:
    header, row = columns("NAME:.metadata.name,PORTS:.spec.ports[0,1].port")
    assert header == ["NAME", "PORTS"]
    assert [row(one) for one in LIST["items"]] == [["n1", "80,53"], ["n2", "<none>"]]


@pytest.mark.parametrize("template", ["{.a", "{range .a}", "{end}", "{.a[}", "{.a[?(b)]}"])
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(FieldPathError):
        render(template, NODE)


@pytest.mark.parametrize("spec", ["NAME", "NAME:", ""])
def test_what_is_no_column(spec: str) -> None:
    with pytest.raises(FieldPathError):
        columns(spec)
