"""A gateway of several processes on one port."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import ExitStack

import uvloop

from aether.cli.announcing import announce, first_of, reason
from aether.cli.data_dir import shared, socket_directory
from aether.cli.failures import ExitCode
from aether.cli.logging import configure_logging
from aether.cli.output import say
from aether.cli.processes import Processes
from aether.cli.roles.gateway import folders_of, keys_of
from aether.cli.roles.gateway_role import GatewayRole
from aether.cli.settings import Settings
from aether.cli.stopping import clean_start
from aether.cli.stores.failing import StoppedBefore
from aether.cli.stores.needed import require
from aether.gateway.metrics_of_all import forget_all, keep_what_lasts
from aether.http import PortShare, Seat

PARENT_TELLS_WITHIN_S = 0.1
"""A service manager may signal all processes at once, and the parent signals them again: it is the parent
that says whether all are to end, and whether at once."""


def serve_in_processes(settings: Settings, *, with_controller: bool, wait: bool) -> int:
    """Run `settings.processes` of them until SIGTERM or Ctrl-C. Raises InvalidSettings, Refused."""
    configure_logging(settings.log_level)
    require(settings, "gateway")

    def work(seat: Seat) -> int:
        return uvloop.run(_one(settings, seat, with_controller=with_controller, wait=wait))

    with ExitStack() as stack:
        stack.enter_context(clean_start())
        stack.enter_context(shared(settings.data_dir, "gateway"))
        keys_of(settings)  # made by one of them only, if it has to be
        folders = folders_of(settings)
        stack.enter_context(socket_directory(folders[0].parent))
        for folder in folders:
            stack.enter_context(socket_directory(folder))
        forget_all(folders)
        stack.callback(forget_all, folders)
        listening = stack.enter_context(_bound(settings))
        processes = Processes(
            PortShare(listening, settings.processes),
            work,
            on_ready=lambda: _announce(settings, listening),
            on_end=lambda index: keep_what_lasts(folders[index]),
        )
        code = processes.run()
    say("Stopped.")
    return code


async def _one(settings: Settings, seat: Seat, *, with_controller: bool, wait: bool) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()

    loop = asyncio.get_running_loop()

    def asked() -> None:
        if seat.at_once:
            hurry.set()
        loop.call_later(PARENT_TELLS_WITHIN_S, stop.set)

    loop.add_signal_handler(signal.SIGTERM, asked)
    try:
        await GatewayRole(settings, with_controller=with_controller, seat=seat).run(stop, hurry, wait=wait)
    except StoppedBefore:
        pass
    except ExceptionGroup as group:
        raise first_of(group) from group
    return ExitCode.OK


def _bound(settings: Settings) -> socket.socket:
    """Bound here, so that a port that is taken is told once; it listens when a process is ready.

    Raises Refused.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise reason(settings, ExceptionGroup("", [error]), "aether gateway") from error
    return listening


def _announce(settings: Settings, listening: socket.socket) -> None:
    host, port, *_ = listening.getsockname()
    announce(settings, "Aether's gateway", (host, port), f"{settings.processes} processes")
