"""nginx as backend and as what we are compared with. One worker process each, nothing written to disk."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

SMALL = b"hello\n"
LARGE_BYTES = 1_000_000

_MAIN = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
{user}
events {{ worker_connections 4096; }}
http {{
    access_log off;
    server_tokens off;
    default_type text/plain;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""

_BACKEND = """
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location = /small {{ return 200 "hello\\n"; }}
        location / {{ root {files}; }}
    }}
"""

# What a gateway sets, nginx sets too. Large bodies stay off the disk, and in buffers as large as ours.
_HOP = """
    upstream to_{to} {{ server 127.0.0.1:{to}; keepalive 64; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://to_{to};
            proxy_http_version 1.1;
            proxy_max_temp_file_size 0;
            proxy_buffers 8 64k;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Call-Id $request_id;
        }}
    }}
"""


@dataclass(frozen=True)
class Ports:
    """Where each of them listens, on loopback."""

    backend: int
    one_hop: int
    two_hop: int


def write_backend(folder: Path, ports: Ports, *, root: bool) -> Path:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    (files / "large").write_bytes(bytes(range(256)) * (LARGE_BYTES // 256) + bytes(LARGE_BYTES % 256))
    return _write(folder, "backend", _BACKEND.format(port=ports.backend, files=files), root=root)


def write_hops(folder: Path, ports: Ports, *, root: bool) -> Path:
    """One hop to the backend, and a second before it, in one worker process."""
    servers = _HOP.format(port=ports.one_hop, to=ports.backend)
    servers += _HOP.format(port=ports.two_hop, to=ports.one_hop)
    return _write(folder, "hops", servers, root=root)


def _write(folder: Path, name: str, servers: str, *, root: bool) -> Path:
    own = folder / name
    own.mkdir(exist_ok=True)
    path = folder / f"{name}.conf"
    path.write_text(_MAIN.format(folder=own, user="user root;" if root else "", servers=servers))
    return path
