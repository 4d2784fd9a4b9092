"""The root filesystem of runtime `node`: Node, what it links to, and next to nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from aether.images import elf
from aether.images.arch import Architecture
from aether.images.debian import DebianPackages, unpack
from aether.images.errors import SetupFailed
from aether.images.ext4 import make_image
from aether.images.progress import Step
from aether.images.sources import guest_sources
from aether.images.tools import BuildTools

PACKAGES = ("libc6", "libgcc-s1", "libstdc++6", "ca-certificates")

ALSO = (
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libatomic.so.1",
)
"""Libraries that native modules and the resolver load, though Node names none of them. Taken if there."""

USER = 1000
FOLDERS = {
    "code": 0o755, "dev": 0o755, "etc": 0o755, "node_modules": 0o755, "opt/aether": 0o755, "proc": 0o755,
    "root": 0o700, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "usr/bin": 0o755, "usr/lib64": 0o755,
    "usr/sbin": 0o755, "var/tmp": 0o1777,
}  # fmt: skip
LINKS = {
    "bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin",
    "node_modules/aether": "../opt/aether/module",
}  # fmt: skip
"""The runtime's own module is where Node looks for packages last, after all that the code brings."""

ETC = {
    "passwd": f"root:x:0:0:root:/root:/sbin/nologin\nfunction:x:{USER}:{USER}:function:/tmp:/sbin/nologin\n",
    "group": f"root:x:0:\nfunction:x:{USER}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "hostname": "function\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "os-release": 'ID=aether\nNAME="Aether"\nPRETTY_NAME="Aether runtime node"\n',
}
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
"""Where OpenSSL and its like look for it on Debian."""


@dataclass(frozen=True, slots=True)
class NodeRoot:
    """Builds the image in a work folder."""

    packages: DebianPackages
    tools: BuildTools
    architecture: Architecture
    step: Step

    def build(self, image: Path, work: Path) -> None:
        """Write the ext4 image. Raises SetupFailed."""
        self.tools.ensure(self.step)
        debs = [self.packages.fetch(name, self.step) for name in PACKAGES]
        self.step.say("putting together the root filesystem of runtime node")
        shutil.rmtree(work, ignore_errors=True)
        try:
            for deb in debs:
                unpack(deb, work / "packages", self.step)
            tree = work / "tree"
            lay_folders(tree)
            install(self.tools.node, tree / "usr/bin/node", 0o755, strip=True)
            self.add_libraries(work / "packages", tree)
            add_certificates(work / "packages", tree)
            add_bootstrap(tree)
            make_image(tree, image, "aether-node", self.step)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def add_libraries(self, packages: Path, tree: Path) -> None:
        """All that Node needs, and what those need in turn."""
        available = shared_libraries(packages, self.architecture)
        into = tree / "usr/lib" / self.architecture.triple
        waiting = elf.needed((tree / "usr/bin/node").read_bytes())
        waiting += [name for name in ALSO if name in available]
        loader = Path(self.architecture.loader).name
        waiting.append(loader)
        while waiting:
            name = waiting.pop()
            if (into / name).exists():
                continue
            if name not in available:
                raise SetupFailed(f"Node needs {name}, which none of {', '.join(PACKAGES)} has")
            install(available[name], into / name, 0o755)
            waiting += elf.needed((into / name).read_bytes())
        link = tree / "usr" / self.architecture.loader
        if not link.exists():
            link.symlink_to(Path("..") / "lib" / self.architecture.triple / loader)


def lay_folders(tree: Path) -> None:
    for name, mode in FOLDERS.items():
        (tree / name).mkdir(parents=True, exist_ok=True)
        (tree / name).chmod(mode)
    for name, target in LINKS.items():
        (tree / name).symlink_to(target)
    for name, text in ETC.items():
        (tree / "etc" / name).write_text(text)
        (tree / "etc" / name).chmod(0o644)


def install(source: Path, target: Path, mode: int, *, strip: bool = False) -> None:
    """Copy a file with this mode, so that nothing is setuid by accident."""
    target.parent.mkdir(parents=True, exist_ok=True)
    content = source.read_bytes()
    target.write_bytes(elf.stripped(content) if strip else content)
    target.chmod(mode)


def shared_libraries(packages: Path, architecture: Architecture) -> dict[str, Path]:
    """By the name that programs know them under, whichever of the two folders they are in."""
    found: dict[str, Path] = {}
    for folder in (packages / "lib" / architecture.triple, packages / "usr/lib" / architecture.triple):
        for path in sorted(folder.glob("*.so*")) if folder.is_dir() else ():
            if path.is_file():
                found[path.name] = path.resolve()
    return found


def add_certificates(packages: Path, tree: Path) -> None:
    """The bundle that `update-ca-certificates` would make."""
    found = sorted((packages / "usr/share/ca-certificates").rglob("*.crt"))
    if not found:
        raise SetupFailed("the package ca-certificates has no certificates in it")
    target = tree / CERTIFICATES
    target.parent.mkdir(parents=True)
    target.write_bytes(b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in found))


def add_bootstrap(tree: Path) -> None:
    source = guest_sources() / "node"
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    if not files:
        raise SetupFailed(f"no sources of the Node bootstrap in {source}")
    for path in files:
        install(path, tree / "opt/aether" / path.relative_to(source), 0o644)
