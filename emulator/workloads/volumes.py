"""Volumes of pods as directories of files in the run directory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from emulator.api.objects import JsonObject, Key
from emulator.workloads.environment import data_of, expand
from emulator.workloads.references import MissingReferenceError, Objects, field_of, resource_of
from emulator.workloads.spec import Mount

_FILE_MODE = 0o644
_OWN = frozenset({"emptyDir", "configMap", "secret", "downwardAPI", "projected"})
_INSTEAD = frozenset({"persistentVolumeClaim", "ephemeral", "hostPath", "nfs", "csi"})
"""Storage that this machine does not have; the pod gets an empty directory of its own."""


class Volumes:
    """All volumes of one pod, below `directory`."""

    def __init__(self, directory: Path, pod: JsonObject, objects: Objects) -> None:
        self._directory = directory
        self._pod = pod
        self._objects = objects
        self._volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes") or ()}

    def make(self) -> tuple[str, ...]:
        """Create every volume; what is worth telling the user about comes back.

        Raises MissingReferenceError when an object that a volume shows is not there (yet).
        """
        notices = []
        for name, volume in self._volumes.items():
            kind = next((field for field in volume if field != "name"), "emptyDir")
            files = self._files(volume)
            root = self._directory / name
            root.mkdir(parents=True, exist_ok=True)
            root.chmod(0o777 if kind in _INSTEAD or kind == "emptyDir" else 0o755)
            _write(root, files)
            if kind not in _OWN:
                notices.append(f"volume {name}: {kind} is not available here; an empty directory stands in")
        return tuple(notices)

    def refresh(self) -> None:
        """Bring files that show objects to what the objects say now. A missing object changes nothing."""
        for name, volume in self._volumes.items():
            try:
                files = self._files(volume)
            except MissingReferenceError:
                continue
            if files or "emptyDir" not in volume:
                _write(self._directory / name, files)

    def refers_to(self, key: Key) -> bool:
        """Whether one of the volumes shows the object."""
        return key.namespace == self._pod["metadata"]["namespace"] and any(
            (kind, reference) == (key.kind, key.name)
            for volume in self._volumes.values()
            for kind, reference in _references(volume)
        )

    def mounts(self, container: JsonObject, variables: Mapping[str, str]) -> Iterator[Mount]:
        """What `container` mounts of them. Raises MissingReferenceError for a volume that the pod lacks."""
        for entry in container.get("volumeMounts") or ():
            volume = self._volumes.get(entry["name"])
            if volume is None:
                raise MissingReferenceError(f'volume "{entry["name"]}" not found')
            source = self._directory / entry["name"]
            part = expand(entry.get("subPathExpr") or "", variables) or entry.get("subPath") or ""
            if part:
                source = _part_of(source, part)
            shows_objects = any(
                field in volume for field in ("configMap", "secret", "downwardAPI", "projected")
            )
            yield Mount(str(source), entry["mountPath"], bool(entry.get("readOnly")) or shows_objects)

    def _files(self, volume: JsonObject) -> dict[str, tuple[bytes, int]]:
        files: dict[str, tuple[bytes, int]] = {}
        if "projected" in volume:
            mode = volume["projected"].get("defaultMode")
            for source in volume["projected"].get("sources") or ():
                files.update(self._projection(source, mode))
            return files
        for field, name in (("configMap", "name"), ("secret", "secretName")):
            if field in volume:
                source = {**volume[field], "name": volume[field].get(name, "")}
                return self._projection({field: source}, source.get("defaultMode"))
        if "downwardAPI" in volume:
            return self._projection(volume, volume["downwardAPI"].get("defaultMode"))
        return files

    def _projection(self, source: JsonObject, mode: int | None) -> dict[str, tuple[bytes, int]]:
        default = _FILE_MODE if mode is None else mode
        if "downwardAPI" in source:
            items = source["downwardAPI"].get("items") or ()
            return {item["path"]: (self._downward(item), item.get("mode", default)) for item in items}
        if "serviceAccountToken" in source:
            return {source["serviceAccountToken"]["path"]: (b"", default)}
        for kind, field in (("ConfigMap", "configMap"), ("Secret", "secret")):
            if field in source:
                return self._object_files(kind, source[field], default)
        return {}

    def _object_files(self, kind: str, source: JsonObject, mode: int) -> dict[str, tuple[bytes, int]]:
        namespace, name = self._pod["metadata"]["namespace"], source.get("name", "")
        obj = self._objects.find(Key(kind, namespace, name))
        if obj is None:
            if source.get("optional"):
                return {}
            raise MissingReferenceError(f'{kind.lower()} "{name}" not found')
        data = data_of(obj)
        if not source.get("items"):
            return {key: (content, mode) for key, content in data.items()}
        files = {}
        for item in source["items"]:
            if item["key"] in data:
                files[item["path"]] = (data[item["key"]], item.get("mode") or mode)
            elif not source.get("optional"):
                raise MissingReferenceError(
                    f"{kind.lower()} references non-existent config key: {item['key']}"
                )
        return files

    def _downward(self, item: JsonObject) -> bytes:
        if "fieldRef" in item:
            return field_of(self._pod, item["fieldRef"]["fieldPath"]).encode()
        reference = item["resourceFieldRef"]
        containers = (*self._pod["spec"]["containers"], *(self._pod["spec"].get("initContainers") or ()))
        container = next(
            (c for c in containers if c["name"] == reference.get("containerName")), containers[0]
        )
        return resource_of(container, reference).encode()


def _references(volume: JsonObject) -> Iterator[tuple[str, str]]:
    sources = (volume.get("projected") or {}).get("sources") or (volume,)
    for source in sources:
        if "configMap" in source:
            yield "ConfigMap", source["configMap"].get("name", "")
        if "secret" in source:
            yield "Secret", source["secret"].get("secretName") or source["secret"].get("name", "")


def _write(root: Path, files: Mapping[str, tuple[bytes, int]]) -> None:
    """Make `root` hold exactly `files`, each replaced in one step."""
    for name, (content, mode) in files.items():
        path = _inside(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.read_bytes() == content:
            continue
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(content)
        fresh.chmod(mode)
        fresh.replace(path)
    if files:
        _prune(root, {root / name for name in files})


def _prune(root: Path, keep: set[Path]) -> None:
    for path in sorted(root.rglob("*"), reverse=True):
        if path.is_file() and path not in keep:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _part_of(volume: Path, part: str) -> Path:
    """A `subPath` of a volume, made as a directory where there is nothing."""
    path = _inside(volume, part)
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o777)
    return path


def _inside(root: Path, name: str) -> Path:
    """`name` below `root`. Raises MissingReferenceError for one that leads out of it."""
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts:
        raise MissingReferenceError(f"{name!r} leads out of its volume")
    path = root / relative
    if not os.path.realpath(path).startswith(os.path.realpath(root)):
        raise MissingReferenceError(f"{name!r} leads out of its volume")
    return path


def remove(directory: Path) -> None:
    """Take a pod's volumes away; files of other users that cannot be removed are left to the run's end."""
    shutil.rmtree(directory, ignore_errors=True)
