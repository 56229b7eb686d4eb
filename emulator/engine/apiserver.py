"""The API server at its address in the cluster: its certificate, and a listener on each server node."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

from emulator.api.discovery import documents
from emulator.cluster.inventory import API_PORT, api_addresses, api_servers
from emulator.cluster.wiring import Wiring
from emulator.network.names import netns_path
from emulator.workloads.servers.apiserver import api_server
from emulator.workloads.servers.serving import Serving

_NAMES = tuple(f"kubernetes{rest}" for rest in ("", ".default", ".default.svc", ".default.svc.cluster.local"))
_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_TEN_YEARS = ("-days", "3650")


class CertificateError(RuntimeError):
    """There is no certificate, and none can be made."""


async def serve_api(wiring: Wiring, certificate: Path) -> list[Serving]:
    """Answer where the Service `default/kubernetes` leads. `certificate` is made by `make_certificate`.

    Raises ProgramError when the port cannot be had.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    program = api_server(API_PORT, documents()["/version"], tls)
    return [await Serving.start(program, netns_path(f"node/{node.name}")) for node in api_servers(wiring)]


def make_certificate(wiring: Wiring, file: Path) -> Path:
    """A key and a certificate that it has signed itself, for all names and addresses of the API server.

    One that an engine before this one made is kept. Raises CertificateError.
    """
    if file.exists():
        return file
    names = [f"DNS:{name}" for name in _NAMES] + [f"IP:{address}" for address in api_addresses(wiring)]
    fresh = file.with_suffix(".new")
    subject = ("-subj", "/CN=kube-apiserver", "-addext", f"subjectAltName={','.join(names)}")
    written = ("-keyout", str(fresh), "-out", str(fresh))
    command = ("openssl", "req", "-x509", *_KEY, *_TEN_YEARS, *subject, *written)
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise CertificateError("openssl is not installed: apt-get install openssl") from None
    except subprocess.CalledProcessError as failed:
        raise CertificateError(f"openssl cannot make a certificate: {failed.stderr}") from failed
    return fresh.rename(file)
