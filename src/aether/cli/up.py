"""`aether up`: the platform on this machine, in one process."""

from __future__ import annotations

import asyncio
import errno
import sys

import structlog
import uvloop

from aether.cli.collection import settle
from aether.cli.data_dir import MACHINES, locked, socket_directory
from aether.cli.embedded import Embedded, open_stores
from aether.cli.failures import ExitCode, Refused
from aether.cli.logging import configure_logging
from aether.cli.output import say
from aether.cli.settings import Settings
from aether.cli.stopping import clean_start, stop_on_signals
from aether.cli.up_options import NOTHING_GIVEN, UpOptions, told_elsewhere
from aether.images.catalog import Images, ImageSettings, load_images
from aether.images.kvm import kvm_works
from aether.images.tsc import tsc_khz
from aether.vmm.cgroups import find_place
from aether.vmm.qemu import QemuConfig, QemuVmm

log = structlog.get_logger()


def up(*, options: UpOptions = NOTHING_GIVEN) -> int:
    """Start the platform on this machine: gateway, worker and stores in one process.

    It runs until Ctrl-C or SIGTERM, which let running requests end first; a second one doesn't wait.
    Functions are kept in the data directory, and are there again after the next start.

    **Examples**

    ```
    aether up
    aether up --port 9000 --data-dir ./state
    ```
    """
    settings = options.settings()
    configure_logging(settings.log_level)
    with clean_start(), locked(settings.data_dir), socket_directory(settings.sockets):
        images = load_images(
            settings.cache_dir,
            ImageSettings(kernel_path=settings.kernel_path, runtime_path=settings.runtime_path),
        )
        vmm = make_vmm(settings, images)
        return uvloop.run(_run(settings, vmm, images))


def make_vmm(settings: Settings, images: Images) -> QemuVmm:
    """The QEMU driver as this host can have it: KVM only where a probe machine booted under it."""
    accel = "kvm" if kvm_works(settings.cache_dir, images.kernel) else "tcg"
    return QemuVmm(
        QemuConfig(kernel=images.kernel, run_dir=settings.sockets / MACHINES, tsc_khz=tsc_khz(), accel=accel),
        find_place(),
    )


async def _run(settings: Settings, vmm: QemuVmm, images: Images) -> int:
    stop, hurry = asyncio.Event(), asyncio.Event()
    stop_on_signals(stop, hurry)
    left = await vmm.sweep()
    if left:
        log.warning("cleaned up what a killed platform left behind", instances=left)
    if vmm.why_no_limits:
        log.warning("nothing holds microVMs to their share: see aether doctor", reason=vmm.why_no_limits)
    async with open_stores(settings) as stores:
        platform = Embedded(settings, stores, vmm, images.runtimes)
        try:
            await platform.run(stop, lambda address: _ready(settings, vmm, address), hurry)
        except ExceptionGroup as group:
            raise _reason(settings, group) from group
    say("Stopped.")
    return ExitCode.INTERRUPTED if hurry.is_set() else ExitCode.OK


def _ready(settings: Settings, vmm: QemuVmm, address: tuple[str, int]) -> None:
    settle()
    _announce(settings, vmm, address)


def url_of(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(settings: Settings, vmm: QemuVmm, address: tuple[str, int]) -> None:
    url = url_of("https" if settings.tls_cert else "http", *address)
    say(f"Aether is up at {url} (microVMs by {vmm.name}, {vmm.accel}).")
    for line in told_elsewhere(settings):
        say(line)
    if settings.auth == "off":
        say("The management API is open to whoever reaches it (auth is off).")
    else:
        say(f"The API's key is in {settings.key_file}; the CLI finds it there.")
    say(f"API documentation: {url}/docs    Stop with Ctrl-C.")
    sys.stderr.flush()


def _reason(settings: Settings, group: ExceptionGroup) -> Exception:
    """What the first error of the group means, in a sentence where it is a user's to mend."""
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, OSError):
        return error
    if error.errno == errno.EADDRINUSE:
        return Refused(
            f"Port {settings.port} on {settings.host} is in use.",
            hint="Stop what listens there, or take another: aether up --port N (0 takes a free one)",
        )
    if error.errno in {errno.EADDRNOTAVAIL, errno.EACCES}:
        return Refused(f"Can't listen on {settings.host}:{settings.port}: {error.strerror}.")
    return error
