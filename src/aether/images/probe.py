"""What this machine can do, for `aether doctor`: a list of checks, each with what to do about it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aether.images import kvm
from aether.images.arch import host_architecture
from aether.images.catalog import OURS, ImageSettings, load_images
from aether.images.errors import MissingImages, SetupFailed
from aether.images.host import find_tool, host_tools, install_command
from aether.images.tsc import tsc_khz

DISK_WANTED_MIB = 2048
"""Set-up takes 1.5 GB, most of it the compiler and Node as they come."""

KVM_FIX = "microVMs run by emulation: they start and compute some times slower, and all else is the same"


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    """Works, with less."""
    FAIL = "fail"
    """Nothing starts before this is put right."""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    level: Level
    detail: str
    fix: str = ""


def probe(
    cache_dir: Path, settings: ImageSettings = OURS, *, host: Sequence[Callable[[], Check]] = ()
) -> list[Check]:
    """All checks, in the order in which to put things right. Boots a probe machine once per host.

    `host` are further ones, of what others than images need.
    """
    checks: list[Callable[[], Check]] = [
        check_python,
        check_processor,
        *host,
        lambda: check_disk(cache_dir),
        check_qemu,
        check_mkfs,
        check_user_namespaces,
        lambda: check_images(cache_dir, settings),
        lambda: check_kvm(cache_dir, settings),
    ]
    return [check() for check in checks]


def check_python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", Level.OK, f"{version}, {sys.executable}")


def check_processor() -> Check:
    try:
        machine = host_architecture().machine
    except SetupFailed as error:
        return Check("processor", Level.FAIL, error.message, "use another machine")
    cores = len(os.sched_getaffinity(0))
    try:
        rate = tsc_khz()
    except OSError as error:
        return Check(
            "processor", Level.WARN, f"{machine}, {cores} cores; time-stamp counter not readable: {error}",
            "microVMs may hang at boot under emulation; allow executable memory to this program",
        )  # fmt: skip
    counter = f", time-stamp counter at {rate / 1000:.3f} MHz" if rate else ""
    return Check("processor", Level.OK, f"{machine}, {cores} cores{counter}")


def check_disk(cache_dir: Path) -> Check:
    place = next(path for path in [cache_dir, *cache_dir.absolute().parents] if path.exists())
    free = shutil.disk_usage(place).free // 2**20
    detail = f"{free} MiB free for {cache_dir}"
    if not os.access(place, os.W_OK):
        return Check(
            "disk", Level.FAIL, f"{place} can't be written to", "choose another with AETHER_CACHE_DIR"
        )
    if free < DISK_WANTED_MIB:
        return Check("disk", Level.WARN, detail, f"free some space: set-up wants {DISK_WANTED_MIB} MiB")
    return Check("disk", Level.OK, detail)


def check_qemu() -> Check:
    try:
        binary = host_architecture().qemu_binary
    except SetupFailed as error:
        return Check("qemu", Level.FAIL, error.message)
    return check_tool("qemu", binary, kvm.qemu_version)


def check_mkfs() -> Check:
    return check_tool("mkfs.ext4", "mkfs.ext4", lambda path: path)


def check_tool(name: str, program: str, describe: Callable[[str], str]) -> Check:
    found = find_tool(program)
    if found is not None:
        detail = describe(found)
        if detail:
            return Check(name, Level.OK, detail)
    package = next(tool.package for tool in host_tools(host_architecture()) if tool.program == program)
    state = "can't be run" if found else "is not installed"
    return Check(name, Level.FAIL, f"{program} {state}", f"sudo {' '.join(install_command([package]))}")


def check_user_namespaces() -> Check:
    """Archives are unpacked in one where that works, as a second wall."""
    unshare = find_tool("unshare")
    if unshare is not None:
        ran = subprocess.run([unshare, "--user", "--map-root-user", "true"], capture_output=True, check=False)
        if ran.returncode == 0:
            return Check("user namespaces", Level.OK, "an ordinary user may make them")
    return Check(
        "user namespaces", Level.WARN, "an ordinary user may not make them: one wall less around unpacking",
        "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    )  # fmt: skip


def check_images(cache_dir: Path, settings: ImageSettings) -> Check:
    try:
        images = load_images(cache_dir, settings)
    except MissingImages as error:
        return Check("images", Level.FAIL, error.message, error.hint or "")
    return Check("images", Level.OK, f"kernel, agent, and runtimes: {', '.join(sorted(images.runtimes))}")


def check_kvm(cache_dir: Path, settings: ImageSettings) -> Check:
    if not kvm.DEVICE.exists():
        return Check("kvm", Level.WARN, f"there is no {kvm.DEVICE}", KVM_FIX)
    if not os.access(kvm.DEVICE, os.R_OK | os.W_OK):
        return Check(
            "kvm", Level.WARN, f"{kvm.DEVICE} may not be opened by this user", "sudo usermod -aG kvm $USER"
        )
    try:
        kernel = load_images(cache_dir, settings).kernel
    except MissingImages:
        return Check(
            "kvm",
            Level.WARN,
            "not known before set-up, which makes what is booted as a probe",
            "aether setup",
        )
    if kvm.kvm_works(cache_dir, kernel):
        return Check("kvm", Level.OK, "a probe machine booted under it")
    return Check("kvm", Level.WARN, f"{kvm.DEVICE} is there, but no machine boots under it in time", KVM_FIX)
