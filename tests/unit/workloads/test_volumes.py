from __future__ import annotations

from pathlib import Path

import pytest

from emulator.api.objects import JsonObject, Key
from emulator.workloads.references import MissingReferenceError
from emulator.workloads.volumes import Volumes
from tests.unit.workloads.manifests import Objects, config_map, container, pod, secret


def made(tmp_path: Path, objects: Objects, *volumes: JsonObject) -> Volumes:
    made = Volumes(tmp_path, pod(volumes=list(volumes)), objects)
    made.make()
    return made


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()
    }


def test_objects_become_files(tmp_path: Path) -> None:
    objects = Objects(config_map(a="1", b="2"), secret(password="cGFzcw=="))
    made(
        tmp_path,
        objects,
        {"name": "all", "configMap": {"name": "config"}},
        {
            "name": "one",
            "configMap": {"name": "config", "items": [{"key": "b", "path": "d/x", "mode": 0o600}]},
        },
        {"name": "keys", "secret": {"secretName": "secret", "defaultMode": 0o400}},
        {"name": "scratch", "emptyDir": {}},
    )
    assert files(tmp_path / "all") == {"a": "1", "b": "2"}
    assert files(tmp_path / "one") == {"d/x": "2"}
    assert (tmp_path / "one/d/x").stat().st_mode & 0o777 == 0o600
    assert files(tmp_path / "keys") == {"password": "pass"}
    assert (tmp_path / "keys/password").stat().st_mode & 0o777 == 0o400
    assert (tmp_path / "scratch").stat().st_mode & 0o777 == 0o777


def test_the_downward_api_and_projections(tmp_path: Path) -> None:
    made(
        tmp_path,
        Objects(config_map(a="1"), secret(k="dg==")),
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"configMap": {"name": "config"}},
                    {"secret": {"name": "secret", "items": [{"key": "k", "path": "secret/k"}]}},
                    {
                        "downwardAPI": {
                            "items": [
                                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
                                {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}},
                            ]
                        }
                    },
                ]
            },
        },
    )
    assert files(tmp_path / "all") == {
        "a": "1",
        "secret/k": "v",
        "labels": 'app="web"\ntier="front"',
        "notes": 'note="say \\"hi\\""',
    }


def test_files_follow_their_object(tmp_path: Path) -> None:
    objects = Objects(config_map(a="1", b="2"))
    volumes = made(tmp_path, objects, {"name": "all", "configMap": {"name": "config"}})
    assert volumes.refers_to(Key("ConfigMap", "shop", "config"))
    assert not volumes.refers_to(Key("ConfigMap", "shop", "other"))
    assert not volumes.refers_to(Key("ConfigMap", "blog", "config"))
    objects.put(config_map(b="3", c="4"))
    volumes.refresh()
    assert files(tmp_path / "all") == {"b": "3", "c": "4"}


def test_what_is_not_there_is_waited_for_or_left_out(tmp_path: Path) -> None:
    optional = {"name": "x", "configMap": {"name": "nowhere", "optional": True}}
    made(tmp_path, Objects(), optional)
    assert files(tmp_path / "x") == {}
    with pytest.raises(MissingReferenceError, match='secret "nowhere" not found'):
        made(tmp_path, Objects(), {"name": "y", "secret": {"secretName": "nowhere"}})


def test_storage_that_is_not_there_is_an_empty_directory_and_said_so(tmp_path: Path) -> None:
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "c"}}
    notices = Volumes(tmp_path, pod(volumes=[claim]), Objects()).make()
    assert notices == (
        "volume data: persistentVolumeClaim is not available here; an empty directory stands in",
    )
    assert files(tmp_path / "data") == {}


def test_mounts(tmp_path: Path) -> None:
    volumes = made(
        tmp_path,
        Objects(config_map(a="1")),
        {"name": "config", "configMap": {"name": "config"}},
        {"name": "scratch", "emptyDir": {}},
    )
    wanted = container(
        volumeMounts=[
            {"name": "config", "mountPath": "/etc/a.conf", "subPath": "a"},
            {"name": "scratch", "mountPath": "/data", "subPathExpr": "$(POD)/x"},
            {"name": "scratch", "mountPath": "/ro", "readOnly": True},
        ]
    )
    a, data, ro = volumes.mounts(wanted, {"POD": "web"})
    assert (a.source, a.target, a.read_only) == (str(tmp_path / "config/a"), "/etc/a.conf", True)
    assert (data.source, data.read_only) == (str(tmp_path / "scratch/web/x"), False)
    assert Path(data.source).is_dir()
    assert ro.read_only


@pytest.mark.parametrize("path", ["../../etc", "/etc", "a/../../b"])
def test_no_part_of_a_volume_leads_out_of_it(tmp_path: Path, path: str) -> None:
    volumes = made(tmp_path, Objects(), {"name": "scratch", "emptyDir": {}})
    wanted = container(volumeMounts=[{"name": "scratch", "mountPath": "/x", "subPath": path}])
    with pytest.raises(MissingReferenceError, match="leads out of its volume"):
        list(volumes.mounts(wanted, {}))


def test_no_link_leads_out_of_a_volume(tmp_path: Path) -> None:
    volumes = made(tmp_path, Objects(), {"name": "scratch", "emptyDir": {}})
    (tmp_path / "scratch/link").symlink_to("/etc")
    wanted = container(volumeMounts=[{"name": "scratch", "mountPath": "/x", "subPath": "link/passwd"}])
    with pytest.raises(MissingReferenceError, match="leads out of its volume"):
        list(volumes.mounts(wanted, {}))
