"""What a machine needs for a cluster."""

from __future__ import annotations

import os
import shutil

from tests.engines import Engine, EtcdServer, RedisServer
from tests.postgres import PostgresServer
from tests.s3 import S3Server

SERVERS: tuple[type[Engine], ...] = (EtcdServer, RedisServer, PostgresServer)
PROGRAMS = {"haproxy": "haproxy", "ip": "iproute2", "nsenter": "util-linux", "setpriv": "util-linux"}
"""And the packages that have them."""


def why_not(command: str) -> str:
    """What keeps this user on this machine from it, and what to do; empty when nothing does."""
    if os.geteuid() != 0:
        return f"network namespaces need root; run: sudo {command}"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    packages = [server.package for server in SERVERS if not server.installed()]
    packages += [package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)]
    if packages:
        return f"run: apt-get install -y --no-install-recommends {' '.join(dict.fromkeys(packages))}"
    return "" if S3Server.installed() else "there is no S3 server yet; run: tools/s3-server.sh"
