"""Finding the images that a host boots: those that set-up made, or the user's own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from aether.images import elf, recipes
from aether.images.errors import MissingImages, SetupFailed
from aether.images.store import ImageStore, digest_recorded
from aether.ports.vmm import GuestKernel, Runtime

DEFAULT_ENTRYPOINT = "handler.js"
NODE = Runtime(
    name="node",
    root=Path("node.ext4"),
    command=("/usr/bin/node", "/opt/aether/bootstrap.cjs"),
    default_entrypoint=DEFAULT_ENTRYPOINT,
    answers_probes=True,
)


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """The user's own images, in place of ours."""

    kernel_path: Path | None = None
    """A vmlinux with virtio, ext4, overlay and the console port built in."""
    runtime_path: Path | None = None
    """A file: the root of runtime `node`, made to the seed's recipe. A folder: `{runtime}.ext4` each."""

    @property
    def needs_kernel(self) -> bool:
        return self.kernel_path is None

    @property
    def needs_node(self) -> bool:
        return self.runtime_path is None or not (
            self.runtime_path.is_file() or (self.runtime_path / "node.ext4").is_file()
        )


OURS = ImageSettings()


@dataclass(frozen=True, slots=True)
class Images:
    kernel: GuestKernel
    runtimes: dict[str, Runtime]
    """By name."""


def load_images(cache_dir: Path, settings: ImageSettings = OURS) -> Images:
    """Raises MissingImages, with the command that makes them, and when a file of the user's is wrong."""
    store = ImageStore(cache_dir)
    try:
        kernel = load_kernel(store, settings.kernel_path)
        runtimes = load_runtimes(store, settings)
    except SetupFailed as error:
        raise MissingImages(error.message, hint=error.hint or "run: aether setup") from error
    return Images(kernel, runtimes)


def load_kernel(store: ImageStore, own: Path | None) -> GuestKernel:
    if own is not None:
        if not own.is_file():
            raise MissingImages(
                f"KERNEL_PATH: no file {own}", hint="set KERNEL_PATH to a vmlinux, or unset it"
            )
        with own.open("rb") as file:
            if not elf.is_elf(file.read(len(elf.MAGIC))):
                raise MissingImages(
                    f"KERNEL_PATH: {own} is not an uncompressed kernel (an ELF file, vmlinux)",
                    hint="unpack it with the kernel's scripts/extract-vmlinux",
                )
        initrd = found(store, recipes.BARE_INITRD, recipes.initrd_recipe(None))
        return GuestKernel(own, initrd / "initrd", combined(file_digest(own), digest_recorded(initrd)))
    kernel = found(store, recipes.KERNEL, recipes.kernel_recipe())
    initrd = found(store, recipes.INITRD, recipes.initrd_recipe(kernel))
    digest = combined(digest_recorded(kernel), digest_recorded(initrd))
    return GuestKernel(kernel / "vmlinux", initrd / "initrd", digest)


def load_runtimes(store: ImageStore, settings: ImageSettings) -> dict[str, Runtime]:
    own = settings.runtime_path
    runtimes: dict[str, Runtime] = {}
    if settings.needs_node:
        image = found(store, recipes.NODE, recipes.node_recipe())
        runtimes["node"] = replace(NODE, root=image / "node.ext4", digest=digest_recorded(image))
    if own is None:
        return runtimes
    if own.is_file():
        return {"node": own_runtime("node", own)}
    if not own.is_dir():
        raise MissingImages(
            f"RUNTIME_PATH: no file or folder {own}", hint="set RUNTIME_PATH to what is there, or unset it"
        )
    return runtimes | {path.stem: own_runtime(path.stem, path) for path in sorted(own.glob("*.ext4"))}


def own_runtime(name: str, root: Path) -> Runtime:
    """A root made to the seed's recipe, unless the record `{name}.json` beside it says otherwise."""
    runtime = Runtime(
        name=name,
        root=root,
        command=("/init",),
        default_entrypoint=DEFAULT_ENTRYPOINT,
        user=0,
        group=0,
        digest=file_digest(root),
    )
    record = root.with_suffix(".json")
    return with_record(runtime, record) if record.is_file() else runtime


def with_record(runtime: Runtime, record: Path) -> Runtime:
    """Raises MissingImages when the record is not what it should be."""
    hint = (
        'for example {"command": ["/usr/bin/node", "/app.js"], "user": 1000, "default_entrypoint": "app.js"}'
    )
    try:
        said = json.loads(record.read_text())
        user = int(said.get("user", runtime.user))
        return replace(
            runtime,
            command=words(said.get("command", runtime.command)),
            user=user,
            group=int(said.get("group", user)),
            default_entrypoint=str(said.get("default_entrypoint", runtime.default_entrypoint)),
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise MissingImages(f"the runtime record {record} is wrong: {error}", hint=hint) from error


def words(command: object) -> tuple[str, ...]:
    if not isinstance(command, list | tuple) or not command or not all(isinstance(w, str) for w in command):
        raise ValueError("command must be a list of words")
    return tuple(command)


def found(store: ImageStore, kind: str, recipe: str) -> Path:
    image = store.find(kind, recipe)
    if image is None:
        older = next(store.root.glob(f"{kind}-*"), None)
        state = "made from older sources" if older else "not there"
        raise MissingImages(f"the image {kind} is {state} (in {store.root})")
    return image


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def combined(*digests: str) -> str:
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
