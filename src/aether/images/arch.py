"""What differs between processor architectures."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from aether.images.errors import SetupFailed


@dataclass(frozen=True, slots=True)
class Architecture:
    """Names of one architecture, as each tool spells them."""

    machine: str
    """As `uname -m` says it."""
    debian: str
    triple: str
    """Debian's multiarch folder, where the shared libraries are."""
    compiler_target: str
    loader: str
    """The dynamic loader's path in a root filesystem, without the leading slash."""
    qemu_binary: str
    qemu_package: str

    @property
    def kernel_package(self) -> str:
        """Debian's metapackage, which depends on the newest cloud kernel."""
        return f"linux-image-cloud-{self.debian}"


ARCHITECTURES = {
    "x86_64": Architecture(
        machine="x86_64",
        debian="amd64",
        triple="x86_64-linux-gnu",
        compiler_target="x86_64-linux-musl",
        loader="lib64/ld-linux-x86-64.so.2",
        qemu_binary="qemu-system-x86_64",
        qemu_package="qemu-system-x86",
    ),
    "aarch64": Architecture(
        machine="aarch64",
        debian="arm64",
        triple="aarch64-linux-gnu",
        compiler_target="aarch64-linux-musl",
        loader="lib/ld-linux-aarch64.so.1",
        qemu_binary="qemu-system-aarch64",
        qemu_package="qemu-system-arm",
    ),
}


def host_architecture() -> Architecture:
    """This machine's. Raises SetupFailed for one that nothing here was written for."""
    machine = platform.machine()
    try:
        return ARCHITECTURES[machine]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise SetupFailed(f"no guest images for {machine}; there are some for {known}") from None
