"""What each image is made from and how, as a hash: when it changes, set-up makes the image anew."""

from __future__ import annotations

import platform
from pathlib import Path

from aether.images.agent import FLAGS
from aether.images.sources import agent_sources, build_requirements, guest_sources
from aether.images.store import recipe_of

HERE = Path(__file__).parent

KERNEL, INITRD, BARE_INITRD, NODE = "kernel", "initrd", "initrd-bare", "runtime-node"
KINDS = (KERNEL, INITRD, BARE_INITRD, NODE)


def modules(*names: str) -> list[Path]:
    """Our own source files that do the work are part of a recipe: no version to forget to raise."""
    return [HERE / f"{name}.py" for name in names]


def kernel_recipe() -> str:
    return recipe_of(KERNEL, platform.machine(), *modules("kernel", "lz4", "modules", "arch"))


def initrd_recipe(kernel: Path | None) -> str:
    """`kernel` is the built kernel whose modules are in it."""
    return recipe_of(
        kernel.name if kernel else BARE_INITRD,
        platform.machine(),
        *FLAGS,
        *agent_sources(),
        build_requirements(),
        *modules("cpio", "initramfs", "agent"),
    )


def node_recipe() -> str:
    return recipe_of(
        NODE,
        platform.machine(),
        guest_sources() / "node",
        build_requirements(),
        *modules("runtime", "ext4", "elf", "arch"),
    )
