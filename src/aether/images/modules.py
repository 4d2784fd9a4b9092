"""Kernel modules: which ones a guest needs, and in which order they load."""

from __future__ import annotations

import lzma
from collections.abc import Mapping
from pathlib import Path

WANTED = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "overlay")
"""The machine's buses and devices, the control channel, and the writable layer over the root."""


def copy_modules(release: Path, into: Path) -> None:
    """Copy the wanted modules and all that they depend on, uncompressed, from `lib/modules/{release}`.

    `into/modules.list` has their file names in load order. Raises ValueError when one is neither
    there nor built into the kernel.
    """
    files = {module_name(path): path for path in release.rglob("*.ko*")}
    builtin = {module_name(Path(line)) for line in (release / "modules.builtin").read_text().splitlines()}
    wanted = [name for name in WANTED if name not in builtin]
    contents: dict[str, bytes] = {}
    requires: dict[str, list[str]] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name in contents:
            continue
        if name not in files:
            raise ValueError(f"no module {name}")
        contents[name] = read_module(files[name])
        requires[name] = [need for need in dependencies(contents[name]) if need not in builtin]
        waiting += requires[name]
    into.mkdir()
    order = load_order(wanted, requires)
    for name in order:
        (into / f"{name}.ko").write_bytes(contents[name])
    (into / "modules.list").write_text("".join(f"{name}.ko\n" for name in order))


def load_order(wanted: list[str], requires: Mapping[str, list[str]]) -> list[str]:
    """What a module requires comes before it; otherwise as given. Raises ValueError for a circle."""
    order: list[str] = []

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"modules require each other: {' '.join([*path, name])}")
        for need in requires.get(name, []):
            add(need, (*path, name))
        if name not in order:
            order.append(name)

    for name in wanted:
        add(name, ())
    return order


def module_name(path: Path) -> str:
    """`virtio-rng.ko.xz` is the module `virtio_rng`."""
    return path.name.split(".ko")[0].replace("-", "_")


def read_module(path: Path) -> bytes:
    """Raises ValueError for a compression that we can't read."""
    if path.suffix == ".ko":
        return path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    raise ValueError(f"{path.name} is compressed in an unknown way")


def dependencies(module: bytes) -> list[str]:
    """From the module's own information section, so that no depmod is needed."""
    marker = b"\0depends="
    start = module.find(marker)
    if start < 0:
        return []
    start += len(marker)
    names = module[start : module.index(b"\0", start)].decode().split(",")
    return [name.replace("-", "_") for name in names if name]
