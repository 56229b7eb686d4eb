"""Cases of `workloads_lab.py`: what a container sees, and what it can do to others and to the host."""

from __future__ import annotations

import os

from workloads_bench import BUSY, Bench, address, exists, image, read, run, shell

DENIED = ("denied", "permitted")
READ_ONLY = ("Read-only", "denied", "nonexistent")


async def nothing_of_the_host_can_be_changed(b: Bench) -> None:
    """A container's root has few rights: the host's files, mounts, settings and network are out of reach."""
    pod = await b.up(BUSY)
    await b.ready()
    attempts = {
        "mount -o remount,rw,bind /": DENIED,
        "mount -o remount,rw,bind /usr": DENIED,
        "mount -t tmpfs x /tmp": DENIED,
        "umount /etc/hosts": DENIED,
        "touch /etc/canary": READ_ONLY,
        "echo x >> /etc/passwd": READ_ONLY,
        "touch /usr/bin/canary": READ_ONLY,
        "touch /busybox/canary": READ_ONLY,
        "echo 1 > /proc/sys/net/ipv4/ip_forward": READ_ONLY,
        "echo 1 > /proc/sys/kernel/panic": READ_ONLY,
        "echo b > /proc/sysrq-trigger": READ_ONLY,
        "cat /etc/shadow": DENIED,
        "ls /proc/1/root/": DENIED,
        "cat /proc/1/environ": DENIED,
        "mknod /tmp/disk b 8 0": DENIED,
        "nsenter -t 1 -m true": DENIED,
        "unshare -m true": DENIED,
        "python3 -c 'import ctypes,os;c=ctypes.CDLL(None,use_errno=True);"
        'print(os.strerror((c.mount(b"",b"/usr",None,0x1020,None),ctypes.get_errno())[1]))\'': "permitted",
    }
    for attempt, refusal in attempts.items():
        if attempt == "cat /etc/shadow" and os.stat("/etc/shadow").st_uid == 0:
            continue
        answer = await b.inside(pod, attempt)
        assert any(word in answer.text for word in refusal), (attempt, answer)
    nested = await b.inside(pod, "unshare -Urm mount -o remount,rw,bind /usr; touch /usr/canary")
    assert "Read-only" in nested.text or "ermi" in nested.text, nested
    assert not exists("/usr/canary")
    for path in ("/home", "/root", "/run", "/var/lib", "/tmp"):
        seen = (await b.inside(pod, f"ls -A {path}")).text
        assert seen == "", (path, seen)
    held = (await b.inside(pod, "grep -E 'Cap(Eff|Bnd|Inh|Amb)|NoNewPrivs' /proc/self/status")).text.split()
    rights = "00000000000034eb"
    assert held == [
        "CapInh:",
        "0" * 16,
        "CapEff:",
        rights,
        "CapBnd:",
        rights,
        "CapAmb:",
        "0" * 16,
        "NoNewPrivs:",
        "1",
    ]
    interfaces = (
        await b.inside(pod, "ls /sys/class/net; ip -o link | cut -d: -f2 | cut -d@ -f1")
    ).text.split()
    assert set(interfaces) == {"lo", "eth0"}
    processes = (await b.inside(pod, "ps -o args")).text
    assert "sandbox" not in processes
    assert "pytest" not in processes
    await b.inside(pod, "touch /tmp/mine /canary")
    assert not exists("/tmp/mine")
    assert not exists("/canary")


async def containers_share_the_network_and_nothing_else(b: Bench) -> None:
    """One address and localhost; own files, own processes, own temporary directory."""
    one = {**shell("echo one > /tmp/x; httpd -p 8080 -h /tmp; sleep 1000"), "name": "one"}
    two = {**BUSY, "name": "two"}
    pod = await b.up(one, two)
    await b.ready()
    fetched = (
        "for i in 1 2 3 4 5; do wget -qO- http://127.0.0.1:8080/x && break; usleep 100000; done 2>/dev/null"
    )
    assert (await b.inside(pod, fetched, "two")).text == "one\n"
    assert (await b.inside(pod, "ls /tmp", "two")).text == ""
    assert "httpd" not in (await b.inside(pod, "ps", "two")).text
    assert "httpd" in (await b.inside(pod, "ps", "one")).text
    addresses = [(await b.inside(pod, "ip -o -4 address show eth0", name)).text for name in ("one", "two")]
    assert addresses[0] == addresses[1]


async def volumes_are_files(b: Bench) -> None:
    """ConfigMaps, Secrets, the downward API and shared directories, wherever they are mounted."""
    config = {
        "kind": "ConfigMap",
        "metadata": {"name": "site", "namespace": "shop"},
        "data": {"index.html": "hi\n"},
    }
    b.objects.put(config)
    b.objects.put(
        {"kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"key": "dmFsdWU="}}
    )
    labels = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}
    mounts = [
        {"name": "site", "mountPath": "/usr/share/nginx/html"},
        {"name": "site", "mountPath": "/etc/nginx/deep/index.html", "subPath": "index.html"},
        {"name": "secret", "mountPath": "/opt/none/secret", "readOnly": True},
        {"name": "scratch", "mountPath": "/data"},
        {"name": "scratch", "mountPath": "/data/nested/again"},
        {"name": "labels", "mountPath": "/etc/podinfo"},
    ]
    pod = await b.up(
        image("nginx", volumeMounts=mounts),
        {**BUSY, "name": "other", "volumeMounts": [{"name": "scratch", "mountPath": "/mine"}]},
        volumes=[
            {"name": "site", "configMap": {"name": "site"}},
            {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
            {"name": "scratch", "emptyDir": {}},
            {"name": "labels", "downwardAPI": labels},
        ],
    )
    await b.ready()
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "hi\n"
    shown = "/etc/nginx/deep/index.html /opt/none/secret/key /etc/podinfo/labels"
    assert (
        await b.inside(pod, f"cat {shown}; echo x > /data/x; ls /usr/bin/env")
    ).text == 'hi\nvalueapp="pod"/usr/bin/env\n'
    assert (await b.inside(pod, "cat /mine/x", "other")).text == "x\n"
    assert "Read-only" in (await b.inside(pod, "touch /usr/share/nginx/html/y")).text
    b.runtime.object_changed(b.objects.put({**config, "data": {"index.html": "new\n"}}))
    assert (await b.fetch(pod, f"http://{address(pod)}/")).text == "new\n"
    assert (await b.inside(pod, "cat /usr/share/nginx/html/index.html")).text == "new\n"


async def commands_run_inside(b: Bench) -> None:
    """`exec`: status, input, environment, directory, user; a container's own command has the same."""
    b.objects.put(
        {
            "kind": "Service",
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"clusterIP": "10.96.0.5", "ports": [{"port": 5432}]},
        }
    )
    pod = await b.up(
        shell(
            "echo $GREETING; pwd; exec sleep 1000",
            env=[{"name": "GREETING", "value": "hi"}],
            workingDir="/srv/x",
        ),
        hostname="front",
        subdomain="sites",
    )
    await b.ready()
    assert await b.exec(pod, "sh", "-c", "exit 7") == await run("sh", "-c", "exit 7")
    assert (await b.exec(pod, "nosuch")).status == 127
    assert (
        await b.inside(pod, "cat; pwd; echo $GREETING $DB_SERVICE_HOST $DB_PORT_5432_TCP_PORT", given=b"in\n")
    ).text == ("in\n/srv/x\nhi 10.96.0.5 5432\n")
    assert (await b.inside(pod, "hostname; hostname -f; getent hosts front")).text.startswith("front\n")
    assert "front.sites.shop.svc.cluster.local" in (await b.inside(pod, "cat /etc/hosts")).text
    assert b.runtime.logs(pod) == b"hi\n/srv/x\n"
    refused = await b.exec(pod, "/agnhost", "connect", f"{address(pod)}:81")
    assert (refused.status, refused.text) == (1, "REFUSED\n")
    timeout = await b.exec(pod, "/agnhost", "connect", "10.9.200.1:81", "--timeout=100ms")
    assert timeout.text in ("TIMEOUT\n", "OTHER: [Errno 113] No route to host\n")
    for command in ("wget -T1 -qO- http://10.9.0.250:1", "nc -zvw1 127.0.0.1 1"):
        assert (await b.inside(pod, command)).status == 1


async def users_and_rights(b: Bench) -> None:
    """securityContext: what the map of user IDs and the sandbox allow."""
    ids = sum(int(line.split()[2]) for line in read("/proc/self/uid_map").splitlines())
    nothing = {"securityContext": {"capabilities": {"drop": ["ALL"]}}}
    context = {"runAsUser": 1000, "runAsGroup": 3000, "fsGroup": 2000}
    pod = await b.up(shell("id -u; id -g; sleep 1000", **nothing), securityContext=context)
    await b.ready()
    who = (await b.inside(pod, "id -u; id -g; echo x > /dev/stdout")).text
    assert who == ("1000\n3000\nx\n" if ids > 3000 else "0\n0\nx\n")
    if ids == 1:
        assert any(reason == "NotAvailable" for _, reason, _ in b.events)
    assert "0000000000000000" in (await b.inside(pod, "grep CapEff /proc/self/status")).text
    wish = {"securityContext": {"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}}}
    greedy = await b.up(shell("sleep 1000", **wish), name="greedy")
    await b.ready("greedy")
    assert "denied" in (await b.inside(greedy, "mount -t tmpfs x /mnt")).text
    assert any("SYS_ADMIN" in message for _, _, message in b.events)
    sealed = await b.up(shell("sleep 1000", securityContext={"readOnlyRootFilesystem": True}), name="sealed")
    await b.ready("sealed")
    assert "Read-only" in (await b.inside(sealed, "touch /x")).text
