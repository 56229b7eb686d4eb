"""From a scenario file to a `Scenario`; every mistake with its line and column."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path

from emulator.api.objects import Key
from emulator.api.problems import ManifestError
from emulator.cluster.drain import DrainOptions
from emulator.cluster.places import parse_place
from emulator.scenario.checks import read_check, read_claim
from emulator.scenario.document import Document, Reader, load_document
from emulator.scenario.faults import read_clear, read_faults
from emulator.scenario.loads import complain_of_loads, read_loads
from emulator.scenario.model import (
    Action,
    Apply,
    Cordon,
    Delete,
    Drain,
    Exec,
    Label,
    Rollout,
    Scale,
    Scenario,
    Step,
    Uncordon,
    Wait,
)
from emulator.scenario.words import duration, key_named

API_VERSION = "mininetes.io/v1"


def read_scenario(file: Path) -> Scenario:
    """Read a scenario file. Raises ManifestError with all its mistakes, OSError."""
    document = load_document(file)
    scenario = _Parser(document, file.parent).scenario(file)
    if document.problems:
        raise ManifestError(sorted(document.problems, key=lambda one: (one.line, one.column)))
    return scenario


class _Parser:
    def __init__(self, document: Document, folder: Path) -> None:
        self.document = document
        self.folder = folder
        self.namespace = "default"

    def scenario(self, file: Path) -> Scenario:
        top = Reader(self.document)
        if not top.is_mapping:
            return Scenario("", "", file, "", None, (), ())
        top.one_of("apiVersion", (API_VERSION,), "")
        top.one_of("kind", ("Scenario",), "")
        for name in ("apiVersion", "kind", "spec"):
            if name not in top:
                self.document.complain((), f"{name} is missing")
        name, title = self._metadata(top)
        if "spec" not in top:
            return Scenario(name, title, file, "", None, (), ())
        spec = top.child("spec")
        top.done()
        title = spec.take("description", str, title).strip()
        self.namespace = spec.take("namespace", str, "default")
        scenario = Scenario(
            name=name,
            title=title,
            file=file,
            topology=self._topology(spec),
            nodes=spec.take("nodes", int, 0) or None,
            manifests=self._paths(spec, "manifests"),
            steps=tuple(self._step(step, index) for index, step in enumerate(spec.each("steps"))),
        )
        complain_of_loads(self.document, scenario.steps)
        spec.done()
        if spec.is_mapping and not spec.raw("steps"):
            self.document.complain(spec.path, "steps are missing: a scenario without them shows nothing")
        return scenario

    def _metadata(self, top: Reader) -> tuple[str, str]:
        if "metadata" not in top:
            self.document.complain((), "metadata is missing")
            return "", ""
        metadata = top.child("metadata")
        name = metadata.need("name", str, "")
        metadata.mapping("labels")
        annotations = metadata.mapping("annotations")
        metadata.done()
        return name, str(annotations.get("description", ""))

    def _topology(self, spec: Reader) -> str:
        word = spec.take("topology", str, "three-node")
        beside = self.folder / word
        return str(beside) if word.endswith((".yaml", ".yml")) and beside.exists() else word

    def _paths(self, reader: Reader, name: str) -> tuple[Path, ...]:
        found = []
        for text in reader.texts(name):
            path = self._path(text)
            if path is None:
                reader.complain(name, f"no such file or folder beside the scenario: {text}")
            else:
                found.append(path)
        return tuple(found)

    def _path(self, text: str) -> Path | None:
        """A file beside the scenario, or in its folder `manifests/`."""
        for folder in (self.folder, self.folder / "manifests"):
            if (folder / text).exists():
                return folder / text
        return None

    # Steps

    def _step(self, reader: Reader, index: int) -> Step:
        name = reader.take("name", str, f"Step {index + 1}")
        actions: list[Action] = []
        for word in reader:
            if word in _ACTIONS:
                actions += _ACTIONS[word](self, reader)
        checks = [check for one in reader.each("expect") for check in read_check(one, self.namespace)]
        for word in _ACTIONS:
            reader.raw(word)  # so that a misspelt action finds its nearest right name
        reader.done()
        if reader.is_mapping and not {"expect", *_ACTIONS} & set(reader):
            self.document.complain(reader.path, "a step needs an action or an expectation")
        return Step(name, reader.line, tuple(actions), tuple(checks))

    def _apply(self, reader: Reader) -> list[Action]:
        files, objects = [], []
        value = reader.raw("apply")
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and "kind" in item and "apiVersion" in item:
                objects.append(item)
            elif isinstance(item, str) and self._path(item):
                files.append(self._path(item))
            else:
                reader.complain("apply", f"neither a file beside the scenario nor an object: {item!r}")
        return [Apply(tuple(file for file in files if file), tuple(objects))]

    def _delete(self, reader: Reader) -> list[Action]:
        files, keys = [], []
        for text in reader.texts("delete"):
            path = self._path(text)
            if path:
                files.append(path)
            elif key := self._key(reader, "delete", text):
                keys.append(key)
        return [Delete(tuple(files), tuple(keys))]

    def _scale(self, reader: Reader) -> list[Action]:
        actions: list[Action] = []
        for text, replicas in reader.mapping("scale").items():
            key = self._key(reader, "scale", text)
            if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
                reader.complain("scale", f"replicas must be a number, is {replicas!r}", within=(text,))
            elif key:
                actions.append(Scale(key, replicas))
        return actions

    def _label(self, reader: Reader) -> list[Action]:
        actions: list[Action] = []
        for text, labels in reader.mapping("label").items():
            key = self._key(reader, "label", text)
            if not isinstance(labels, dict):
                reader.complain("label", f"labels must be a mapping, is {labels!r}", within=(text,))
            elif key:
                actions.append(
                    Label(key, {name: None if v is None else str(v) for name, v in labels.items()})
                )
        return actions

    def _rollout(self, reader: Reader) -> list[Action]:
        keys = [self._key(reader, "rollout", text) for text in reader.texts("rollout")]
        return [Rollout(key) for key in keys if key]

    def _load(self, reader: Reader) -> list[Action]:
        return list(read_loads(reader, self.namespace))

    def _drain(self, reader: Reader) -> list[Action]:
        if not isinstance(reader.raw("drain"), dict):
            return [Drain(_node(text)) for text in reader.texts("drain")]
        item = reader.child("drain")
        options = DrainOptions(
            ignore_daemonsets=item.take("ignoreDaemonsets", bool, False),
            force=item.take("force", bool, False),
            delete_emptydir_data=item.take("deleteEmptydirData", bool, False),
        )
        node = item.need("node", str, "")
        item.done()
        return [Drain(_node(node), options)]

    def _cordon(self, reader: Reader) -> list[Action]:
        return [Cordon(_node(text)) for text in reader.texts("cordon")]

    def _uncordon(self, reader: Reader) -> list[Action]:
        return [Uncordon(_node(text)) for text in reader.texts("uncordon")]

    def _fault(self, reader: Reader) -> list[Action]:
        return [*read_faults(reader)]

    def _clear(self, reader: Reader) -> list[Action]:
        return [read_clear(reader)]

    def _exec(self, reader: Reader) -> list[Action]:
        items = reader.each("exec") if isinstance(reader.raw("exec"), list) else [reader.child("exec")]
        return [self._one_exec(item) for item in items]

    def _one_exec(self, item: Reader) -> Action:
        command = item.raw("command")
        if isinstance(command, str):
            words = tuple(shlex.split(command))
        elif isinstance(command, list) and command:
            words = tuple(str(word) for word in command)
        else:
            self.document.complain(item.path, "command is missing")
            words = ()
        place = item.parsed("pod", lambda text: parse_place(text, self.namespace), item.need("pod", str, "x"))
        action = Exec(
            pod=str(place or ""),
            command=words,
            container=item.take("container", str, "") or None,
            exits=item.take("exits", int, 0),
            stdout=item.take("stdout", str, ""),
        )
        item.done()
        return action

    def _wait(self, reader: Reader) -> list[Action]:
        value = reader.raw("wait")
        if value == "ready":
            return [Wait()]
        if not isinstance(value, dict):
            reader.complain("wait", 'must be "ready", or a mapping with for and field')
            return []
        item = reader.child("wait")
        seconds = item.parsed("timeout", duration, item.take("timeout", str, "0"))
        text = item.need("for", str, "")
        key = self._key(item, "for", text) if text else None
        claim = read_claim(item)
        item.done()
        return [Wait(key, claim, seconds or None)] if key and claim else []

    def _key(self, reader: Reader, name: str, text: str) -> Key | None:
        key = key_named(text, self.namespace)
        if key is None:
            reader.complain(name, f"{text!r} is no object: write KIND/NAMESPACE/NAME, as deploy/shop/web")
        return key


def _node(text: str) -> str:
    """`worker-2` of `node/worker-2`."""
    return text.removeprefix("node/")


_ACTIONS: Mapping[str, Callable[[_Parser, Reader], list[Action]]] = {
    "apply": _Parser._apply,
    "delete": _Parser._delete,
    "scale": _Parser._scale,
    "label": _Parser._label,
    "rollout": _Parser._rollout,
    "drain": _Parser._drain,
    "cordon": _Parser._cordon,
    "uncordon": _Parser._uncordon,
    "load": _Parser._load,
    "fault": _Parser._fault,
    "clear": _Parser._clear,
    "exec": _Parser._exec,
    "wait": _Parser._wait,
}
