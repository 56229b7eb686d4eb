"""Files, directories, lists, stdin; what is ignored; what cannot be read at all."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.api.errors import ApiError, not_found
from emulator.api.kinds import kind_named
from emulator.api.load import ManifestError, load, load_document
from emulator.api.objects import Key
from tests.unit.api.samples import TEXT

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\n"


def write(folder: Path, name: str, text: str | bytes) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def names(paths: list[Path | str], stdin: bytes = b"") -> list[str]:
    return [located.key.name for located in load(paths, io.BytesIO(stdin)).objects]


def error_of(*paths: Path | str) -> str:
    with pytest.raises(ManifestError) as caught:
        load(list(paths))
    return str(caught.value)


def test_documents_of_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", "---\n" + CONFIG % "a" + "---\n---\n" + CONFIG % "b" + "...\n")
    assert names([file]) == ["a", "b"]


def test_directories_by_name_without_subdirectories(tmp_path: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.json", "readme.md", "deeper/d.yaml"):
        write(tmp_path, name, CONFIG % name[0])
    write(tmp_path, "kustomization.yaml", "resources: [a.yaml]")
    assert names([tmp_path]) == ["a", "b", "c"]
    assert load([tmp_path]).files == 3


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    file = write(tmp_path, "a.yaml", CONFIG % "a")
    assert names([tmp_path, file, tmp_path / ".." / tmp_path.name / "a.yaml"]) == ["a"]


def test_standard_input() -> None:
    assert names(["-"], (CONFIG % "a").encode()) == ["a"]
    with pytest.raises(ManifestError) as caught:
        load(["-"], io.BytesIO(b"kind: [\n"))
    assert caught.value.problems[0].place == "<stdin>:1:8"


def test_lists_typed_ones_too(tmp_path: Path) -> None:
    item = {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "nginx"}]}}
    typed = {"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [item]}
    plain = {
        "apiVersion": "v1",
        "kind": "List",
        "items": [{**item, "apiVersion": "v1", "kind": "Pod"}, typed],
    }
    plain["items"][0]["metadata"] = {"name": "b"}
    located = load([write(tmp_path, "list.json", json.dumps(plain))]).objects
    assert [one.key for one in located] == [Key("Pod", "", "b"), Key("Pod", "", "a")]
    assert located[1].base == ("items", 1, "items", 0)
    assert names(
        [write(tmp_path, "empty.yaml", "apiVersion: v1\nkind: List\nitems: []\n---\n" + CONFIG % "a")]
    ) == ["a"]


def test_namespaces_come_first(tmp_path: Path) -> None:
    text = CONFIG % "a" + "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n---\n" + CONFIG % "b"
    assert names([write(tmp_path, "a.yaml", text)]) == ["shop", "a", "b"]


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_byte_order_marks(tmp_path: Path, ending: str, mark: bytes) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  lables: {}\n".replace("\n", ending)
    message = error_of(write(tmp_path, "a.yaml", mark + text.encode()))
    assert "a.yaml:5:3: ConfigMap a: unknown field" in message
    assert "\r" not in message


def test_what_the_server_set_is_dropped(tmp_path: Path) -> None:
    text = (
        "apiVersion: v1\nkind: Pod\n"
        "metadata: {name: a, uid: x, resourceVersion: '5', creationTimestamp: null, managedFields: []}\n"
        "spec: {containers: [{name: a, image: b, env: null}], nodeName: ~}\n"
        "status: {phase: Running}\n"
    )
    (located,) = load([write(tmp_path, "a.yaml", text)]).objects
    assert located.object == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "a", "image": "b"}]},
    }


def test_ignored_kinds_give_one_notice_each(tmp_path: Path) -> None:
    kinds = [
        ("v1", "PersistentVolumeClaim", "data"),
        ("v1", "PersistentVolumeClaim", "logs"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", "reader"),
        ("policy/v1beta1", "PodDisruptionBudget", "web"),
        ("autoscaling/v2beta2", "HorizontalPodAutoscaler", "web"),
        ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.acme.io"),
        ("acme.io/v1", "Widget", "one"),
        ("serving.knative.dev/v1", "Service", "fn"),
        ("gateway.networking.k8s.io/v1", "Gateway", "gw"),
        ("batch/v1", "CronJob", "nightly"),
        ("kustomize.config.k8s.io/v1beta1", "Kustomization", "all"),
    ]
    text = "---\n".join(f"apiVersion: {v}\nkind: {k}\nmetadata: {{name: {n}}}\n" for v, k, n in kinds)
    manifest = load([write(tmp_path, "a.yaml", text)])
    assert manifest.objects == ()
    assert [notice.kind for notice in manifest.notices] == list(dict.fromkeys(kind for _, kind, _ in kinds))
    first = manifest.notices[0]
    assert str(first).startswith(
        "ignored: PersistentVolumeClaim data, logs (only ConfigMap, Secret, emptyDir"
    )
    assert [place.rpartition("/")[2] for place in first.places] == ["a.yaml:1", "a.yaml:5"]


@pytest.mark.parametrize("metadata", ["text", "[a]", "{name: 5}", "{name: [a]}", "~"])
def test_ignored_kinds_may_look_as_they_like(tmp_path: Path, metadata: str) -> None:
    text = f"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {metadata}\n"
    assert len(load([write(tmp_path, "a.yaml", text)]).notices) == 1


def test_network_policies_are_nothing_to_be_warned_of(tmp_path: Path) -> None:
    text = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: deny}\n"
    text += "spec: {podSelector: {}}\n"
    manifest = load([write(tmp_path, "a.yaml", text)])
    assert len(manifest.objects) == 1
    assert not manifest.notices


def test_the_same_object_twice_names_both_places(tmp_path: Path) -> None:
    one = write(tmp_path, "one.yaml", "\n" + CONFIG % "a")
    two = write(tmp_path, "two.yaml", CONFIG % "a, namespace: default")
    assert f"two.yaml:3:18: ConfigMap default/a: is defined twice: the first is at {one}:2" in error_of(
        one, two
    )
    assert names([one, write(tmp_path, "three.yaml", CONFIG % "a, namespace: shop")]) == ["a", "a"]


def test_generated_names_may_repeat(tmp_path: Path) -> None:
    text = CONFIG.replace("name:", "generateName:") % "a-"
    assert len(load([write(tmp_path, "a.yaml", text + "---\n" + text)]).objects) == 2


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "web.yaml", CONFIG % "a")
    assert error_of(tmp_path / "wbe.yaml").endswith(
        'wbe.yaml: no such file or directory\n  did you mean "web.yaml"?'
    )
    assert "download it first" in error_of("https://example.com/a.yaml")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert error_of(empty).endswith("empty: no manifests in this directory (*.yaml, *.yml, *.json)")
    write(tmp_path, "empty/deeper/a.yaml", CONFIG % "a")
    assert f"there are some in {empty}/deeper" in error_of(empty)


@pytest.mark.parametrize("text", ["", "\n", "---\n---\n", "# nothing here\n"])
def test_files_without_objects(tmp_path: Path, text: str) -> None:
    file = write(tmp_path, "a.yaml", text)
    assert f"{file}:1:1: no objects in it" in error_of(file)
    assert names([file, write(tmp_path, "b.yaml", CONFIG % "b")]) == ["b"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("a: b".encode("utf-16"), ":1:1: this is UTF-16; manifests are UTF-8"),
        (b"a: b\nc: d\xe9\n", ":2:5: byte 0xe9 is not UTF-8"),
        (b"a: b\x00\n", ":1:5: unacceptable character U+0000"),
        (b"\x7fELF\x02\x01\x01", ":1:1: unacceptable character U+007F"),
    ],
)
def test_files_that_are_not_text(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in error_of(write(tmp_path, "a.yaml", data))


def test_files_that_are_too_big(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(65 * 1024 * 1024)
    assert "65 MiB is too much for a manifest" in error_of(file)


def test_long_and_strange_lines_are_shown_in_one_column_a_character(tmp_path: Path) -> None:
    data = ", ".join(f"key{n}: b" for n in range(40))
    text = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{{data}, \u200bz: [1], last: b}}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load([write(tmp_path, "a.yaml", text)])
    *_, line, mark = min(caught.value.problems, key=lambda p: p.column).excerpt.splitlines()
    assert len(line) <= 130
    assert line[mark.index("^")] in "[\N{REPLACEMENT CHARACTER}"


def test_problems_of_one_file_are_in_its_order(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a, nme: b}\nspec: {ports: [{prt: 1, port: x}]}\n"
    with pytest.raises(ManifestError) as caught:
        load([write(tmp_path, "a.yaml", text)])
    assert [(p.line, p.column) for p in caught.value.problems] == [(3, 21), (4, 17), (4, 31)]


def test_refusals_of_the_server_get_their_place(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n"
    text += "  clusterIP: 10.96.0.1\n  ports: [{port: 80}]\n"
    (located,) = load([write(tmp_path, "a.yaml", text)]).objects
    cause = {
        "field": "spec.clusterIPs[0]",
        "message": "provided IP is already allocated",
        "reason": "FieldValueInvalid",
    }
    error = located.refused(
        ApiError(422, "Invalid", "no", {"causes": [cause, {**cause, "field": "spec.clusterIP"}]})
    )
    assert [(p.line, p.column) for p in error.problems] == [(5, 14), (5, 14)]
    assert located.refused(ApiError(409, "Conflict", "no")).problems[0].line == 1


def test_a_namespace_that_is_missing_is_named_where_it_is_wanted(tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n"
    (located,) = load([write(tmp_path, "a.yaml", text)]).objects
    (problem,) = located.refused(not_found(kind_named("Namespace"), "shop")).problems
    assert (problem.line, problem.hint) == (3, "make it first: kind: Namespace, metadata: {name: shop}")


def test_own_documents(tmp_path: Path) -> None:
    text = "apiVersion: mininetes.io/v1\nkind: Topology\nmetadata: {name: t}\nspec: {nodes: [{name: a}]}\n"
    file = write(tmp_path, "t.yaml", text)
    assert load_document(file, "Topology").object["spec"] == {"nodes": [{"name": "a"}]}
    assert load([file]).others[0].key == Key("Topology", "", "t")
    with pytest.raises(ManifestError, match=r"t.yaml:2:7: Topology t: expected a Scenario, found a Topology"):
        load_document(file, "Scenario")
    with pytest.raises(ManifestError, match="expected one Topology, found 2"):
        load_document(
            write(tmp_path, "t2.yaml", text + "---\n" + text.replace("name: t}", "name: u}")), "Topology"
        )


def test_five_hundred_objects_load_in_time(tmp_path: Path) -> None:
    text = "---\n".join(
        f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web-{n}, labels: {{app: web}}}}\n"
        "spec:\n  replicas: 3\n  selector: {matchLabels: {app: web}}\n  template:\n"
        "    metadata: {labels: {app: web}}\n    spec:\n"
        "      containers:\n      - name: web\n        image: nginx\n"
        "        ports: [{name: http, containerPort: 80}]\n"
        "        readinessProbe: {httpGet: {path: /, port: http}}\n"
        "        resources: {limits: {cpu: 100m, memory: 64Mi}}\n"
        for n in range(500)
    )
    file = write(tmp_path, "many.yaml", text)
    started = time.process_time()
    assert len(load([file]).objects) == 500
    assert time.process_time() - started < 2.0


PIECES = st.sampled_from(
    ["", "\t", ":", "- ", "[", "{", "}", "&a ", "*a", "!x ", '"', "'", "|", "\n", " ", "#", "%", "\u0000"]
)


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(start=st.integers(0, len(TEXT)), length=st.integers(0, 40), piece=PIECES)
def test_damaged_text_ends_in_problems_with_places(start: int, length: int, piece: str) -> None:
    damaged = TEXT[:start] + piece + TEXT[start + length :]
    try:
        load(["-"], io.BytesIO(damaged.encode()))
    except ManifestError as error:
        lines = damaged.count("\n") + 1
        for problem in error.problems:
            assert 1 <= problem.line <= lines
            assert problem.column >= 1
            assert problem.excerpt


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=60))
def test_any_bytes_end_in_problems(data: bytes) -> None:
    with pytest.raises(ManifestError):
        load(["-"], io.BytesIO(data))
