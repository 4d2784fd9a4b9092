"""What `aether doctor` says of a role's settings: stores, addresses, ports. Nothing where none are given."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from urllib.parse import urlsplit

from aether.cli.data_dir import socket_directory
from aether.cli.failures import CommandFailed
from aether.cli.settings import InvalidSettings, Settings
from aether.cli.stores.code import Code
from aether.cli.stores.etcd import etcd_target, open_etcd
from aether.cli.stores.failing import Target
from aether.cli.stores.redis import open_redis, redis_target
from aether.cli.stores.sql import open_sql, sql_target
from aether.domain.errors import AetherError
from aether.images.probe import Check, Level

LOOPBACK_NAMES = ("localhost", "ip6-localhost")


def role_checks(settings: Settings) -> list[Callable[[], Check]]:
    """For whatever is set: a host may have a gateway, a worker, or both."""
    if not settings.etcd_endpoints and not settings.redis_addr.get_secret_value():
        return []
    checks: list[Callable[[], Check]] = []
    if settings.etcd_endpoints:
        checks.append(lambda: _opened("etcd", etcd_target(settings), open_etcd(settings, wait=False)))
        checks.append(lambda: check_worker_ip(settings))
    if settings.redis_addr.get_secret_value():
        checks.append(lambda: _opened("redis", redis_target(settings), open_redis(settings, wait=False)))
    if settings.code_dir is not None or settings.minio_endpoint:
        checks.append(lambda: _code(settings))
    if settings.database_url.get_secret_value():
        checks.append(lambda: _opened("database", sql_target(settings), open_sql(settings, wait=False)))
    return [*checks, lambda: check_sockets(settings), lambda: check_ports(settings)]


def check_worker_ip(settings: Settings) -> Check:
    """Gateways elsewhere must reach this host at it, and it must be one of this host's."""
    address, name = settings.worker_ip, settings.told_name("worker_ip")
    fix = f"set {name} to this host's address that gateways reach"
    try:
        with socket.socket() as sock:
            sock.bind((str(address), 0))
    except OSError as error:
        return Check("worker ip", Level.FAIL, f"{name}: {address} is not this host's: {error.strerror}", fix)
    elsewhere = [e for e in settings.etcd_endpoints.split(",") if not _here(_host_of(e))]
    if address.is_loopback and elsewhere:
        detail = f"{name} is {address}, and etcd is elsewhere ({elsewhere[0]}): only this host reaches that"
        return Check("worker ip", Level.WARN, detail, fix)
    return Check("worker ip", Level.OK, f"{name}: gateways reach instances at {address}")


def check_sockets(settings: Settings) -> Check:
    name = settings.told_name("socket_dir")
    try:
        with socket_directory(settings.sockets):
            return Check("sockets", Level.OK, f"{settings.sockets} can be used for the sockets of microVMs")
    except (CommandFailed, OSError) as error:
        detail = (
            error.message if isinstance(error, CommandFailed) else f"{settings.sockets}: {error.strerror}"
        )
        return Check("sockets", Level.FAIL, detail, f"name another directory by {name}")


def check_ports(settings: Settings) -> Check:
    """Somebody may listen already because the role runs."""
    taken = []
    wanted = (
        (settings.host, settings.port, "port"),
        (str(settings.worker_ip), settings.worker_port, "worker_port"),
    )
    for host, port, field in wanted:
        try:
            with socket.create_server((host, port)):
                pass
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken.append(f"{host}:{port} ({settings.told_name(field)}) is in use")
    if taken:
        fix = "fine if a role runs here already; otherwise stop what listens there, or take other ports"
        return Check("ports", Level.WARN, "; ".join(taken), fix)
    return Check("ports", Level.OK, f"{settings.port} and {settings.worker_port} are free")


def _code(settings: Settings) -> Check:
    async def look() -> None:
        await Code(settings).open()

    try:
        target = Code(settings).target
    except InvalidSettings as error:
        return Check("code", Level.FAIL, error.message)
    return _looked("code", target, look)


def _opened(name: str, target: Target, opening: AbstractAsyncContextManager[object]) -> Check:
    async def look() -> None:
        async with opening:
            pass

    return _looked(name, target, look)


def _looked(name: str, target: Target, look: Callable[[], Awaitable[None]]) -> Check:
    async def looking() -> None:
        await look()

    begun_s = time.perf_counter()
    try:
        asyncio.run(looking())
    except (CommandFailed, AetherError) as error:
        return Check(name, Level.FAIL, error.message.rstrip("."), error.hint or f"look at {target.setting}")
    took_ms = (time.perf_counter() - begun_s) * 1000
    return Check(name, Level.OK, f"{target} answers, in {took_ms:.0f} ms")


def _host_of(endpoint: str) -> str:
    return urlsplit(endpoint if "://" in endpoint else f"http://{endpoint}").hostname or ""


def _here(host: str) -> bool:
    """On this host's loopback."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES
