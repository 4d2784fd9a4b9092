"""What set-up needs from the host system: tools, and the packages that bring them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from aether.images.arch import Architecture
from aether.images.errors import SetupFailed
from aether.images.progress import Step

ADMIN_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"
"""Debian keeps these out of an ordinary user's PATH, and mkfs.ext4 is there."""

APT_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


@dataclass(frozen=True, slots=True)
class HostTool:
    program: str
    package: str
    why: str


def find_tool(program: str) -> str | None:
    """The path of a program, also where only administrators look."""
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:{ADMIN_FOLDERS}")


def tool(program: str) -> str:
    """As `find_tool`. Raises SetupFailed when there is none."""
    found = find_tool(program)
    if found is None:
        raise SetupFailed(f"{program} is not installed", hint="run: aether setup")
    return found


def host_tools(architecture: Architecture) -> tuple[HostTool, ...]:
    return (
        HostTool(architecture.qemu_binary, architecture.qemu_package, "runs the microVMs"),
        HostTool("mkfs.ext4", "e2fsprogs", "makes root filesystems and code images"),
        HostTool("debugfs", "e2fsprogs", "makes root filesystems"),
        HostTool("dpkg-deb", "dpkg", "unpacks Debian's packages"),
        HostTool("apt-get", "apt", "downloads Debian's packages"),
    )


def missing_tools(tools: tuple[HostTool, ...]) -> tuple[HostTool, ...]:
    return tuple(tool for tool in tools if find_tool(tool.program) is None)


def install_command(packages: list[str]) -> list[str]:
    return ["apt-get", "install", "-y", "--no-install-recommends", *packages]


def install_missing(tools: tuple[HostTool, ...], step: Step) -> None:
    """Install what is missing if we are root; else raise SetupFailed with the command that would."""
    missing = missing_tools(tools)
    if not missing:
        return
    packages = sorted({tool.package for tool in missing})
    reasons = ", ".join(f"{tool.program} ({tool.why})" for tool in missing)
    command = " ".join(install_command(packages))
    if os.geteuid() != 0:
        raise SetupFailed(
            f"missing on this machine: {reasons}",
            hint=f"ask an administrator to run: sudo apt-get update && sudo {command}",
        )
    if find_tool("apt-get") is None:
        raise SetupFailed(f"missing on this machine: {reasons}", hint="install them, then run: aether setup")
    if not any(Path("/var/lib/apt/lists").glob("*_Packages*")):
        step.say("apt-get update: this system has no package lists yet")
        step.run(["apt-get", "update"], env=APT_QUIET)
    step.say(f"{command}: {reasons}")
    step.run(install_command(packages), env=APT_QUIET)
    still = missing_tools(tools)
    if still:
        raise SetupFailed(f"still missing after the installation: {', '.join(t.program for t in still)}")
