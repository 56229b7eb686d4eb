"""Case of `workloads_lab.py`: the ingress proxy and its configurations."""

from __future__ import annotations

from workloads_bench import BUSY, Bench, address, image

_CONFIGURATION = """\
global
  maxconn 100
defaults
  mode http
  timeout connect 1s
  timeout client 10s
  timeout server 10s
frontend web
  bind 0.0.0.0:80
  http-request return status 200 content-type text/plain string {word}
"""


def files(word: str) -> dict[str, str]:
    return {"haproxy.cfg": _CONFIGURATION.format(word=word), "extra/note.txt": word}


async def the_proxy_keeps_its_last_good_configuration(b: Bench) -> None:
    """A new one is in force when that is said; one that HAProxy refuses changes nothing and is told."""
    b.proxy_files = files("one")
    client = await b.up(BUSY, name="client")
    pod = await b.up(image("mininetes/ingress-controller"), name="proxy")
    await b.ready("client", "proxy")
    where = f"http://{address(pod)}/"
    assert (await b.fetch(client, where)).text == "one"
    assert await b.runtime.configure(pod, "main", files("two")) == ""
    assert (await b.fetch(client, where)).text == "two"

    bad = {"haproxy.cfg": _CONFIGURATION.format(word="three") + "  bogus words\n"}
    complaint = await b.runtime.configure(pod, "main", bad)
    assert "unknown keyword 'bogus'" in complaint
    assert (await b.fetch(client, where)).text == "two"
    assert b"unknown keyword 'bogus'" in b.runtime.logs(pod)
    assert await b.runtime.configure(pod, "main", files("four")) == ""
    assert (await b.fetch(client, where)).text == "four"
    assert b.container("proxy")["restartCount"] == 0
    assert await b.runtime.configure(client, "main", files("five")) == ""
    assert await b.runtime.configure(pod, "nobody", files("five")) == ""
