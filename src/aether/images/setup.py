"""Set-up: makes every image that is missing, once, and says what it does and why."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path

from aether.images import catalog, recipes
from aether.images.agent import build_agent
from aether.images.arch import Architecture, host_architecture
from aether.images.catalog import OURS, Images, ImageSettings, load_images
from aether.images.debian import GETTING, DebianPackages
from aether.images.errors import MissingImages, SetupFailed
from aether.images.host import host_tools, install_missing, missing_tools
from aether.images.initramfs import write_initramfs
from aether.images.kernel import build_kernel
from aether.images.progress import Progress, Report, Step
from aether.images.runtime import NodeRoot
from aether.images.store import BUILDING, ImageStore
from aether.images.tools import INSTALLING, BuildTools


def setup(
    cache_dir: Path, report: Report, settings: ImageSettings = OURS, *, refresh: bool = False
) -> Images:
    """Make what is missing in `cache_dir`, and return what is there then.

    Idempotent: a second run finds everything, and needs no network. Interrupted, it resumes with
    what was whole. `refresh` looks for newer packages of Debian. Raises SetupFailed, with what helps,
    also when the disk is full or the cache can't be written to.
    """
    architecture = host_architecture()
    if not refresh and not missing_tools(host_tools(architecture)):
        try:
            images = load_images(cache_dir, settings)
        except MissingImages:
            pass
        else:
            report(Progress("images", f"everything is there, in {cache_dir}", done=True))
            return images
    return Setup(cache_dir, report, settings, architecture, refresh=refresh).run()


class Setup:
    """One run, under the lock."""

    def __init__(
        self,
        cache_dir: Path,
        report: Report,
        settings: ImageSettings,
        architecture: Architecture,
        *,
        refresh: bool,
    ) -> None:
        self.cache_dir = cache_dir
        self.report = report
        self.settings = settings
        self.architecture = architecture
        self.refresh = refresh
        self.store = ImageStore(cache_dir)
        self.packages = DebianPackages(cache_dir, refresh=refresh)
        self.tools = BuildTools(cache_dir)

    def run(self) -> Images:
        try:
            with self.store.lock(self.say_waiting):
                self.make_all()
        except OSError as error:
            hint = "free some space: set-up needs about 1.5 GB" if error.errno == errno.ENOSPC else None
            raise SetupFailed(f"{self.cache_dir}: {error}", hint=hint) from error
        return load_images(self.cache_dir, self.settings)

    def make_all(self) -> None:
        self.remove_leftovers()
        self.host()
        try:
            kernel = self.kernel() if self.settings.needs_kernel else None
            self.initrd(kernel)
            if self.settings.needs_node:
                self.node()
        finally:
            self.packages.forget_lists()
        self.store.remove_old(recipes.KINDS)

    def remove_leftovers(self) -> None:
        """Of runs that were interrupted. Nobody else is at work: we have the lock."""
        for prefix in (BUILDING, INSTALLING, GETTING):
            for leftover in self.cache_dir.glob(f"*/{prefix}*"):
                shutil.rmtree(leftover, ignore_errors=True)

    def host(self) -> None:
        step = self.step("host")
        tools = host_tools(self.architecture)
        install_missing(tools, step)
        step.finish("has " + ", ".join(tool.program for tool in tools))

    def kernel(self) -> Path:
        return self.image(
            recipes.KERNEL,
            recipes.kernel_recipe(),
            lambda into, step: build_kernel(into, self.packages, self.architecture, step, into / "work"),
        )

    def initrd(self, kernel: Path | None) -> Path:
        kind = recipes.INITRD if kernel else recipes.BARE_INITRD

        def build(into: Path, step: Step) -> None:
            agent = into / "agent"
            build_agent(agent, self.tools, self.architecture, step)
            write_initramfs(into / "initrd", agent, kernel / "modules" if kernel else None)

        return self.image(kind, recipes.initrd_recipe(kernel), build)

    def node(self) -> Path:
        def build(into: Path, step: Step) -> None:
            root = NodeRoot(self.packages, self.tools, self.architecture, step)
            root.build(into / catalog.NODE.root.name, into / "work")

        return self.image(recipes.NODE, recipes.node_recipe(), build)

    def image(self, kind: str, recipe: str, build: Callable[[Path, Step], None]) -> Path:
        """The image of that recipe, made now unless it is there."""
        step = self.step(kind)
        there = None if self.refresh else self.store.find(kind, recipe)
        if there is None:
            there = self.store.build(kind, recipe, lambda into: build(into, step))
        step.finish(str(there))
        return there

    def step(self, name: str) -> Step:
        return Step(name, self.report)

    def say_waiting(self) -> None:
        self.step("lock").say("another set-up is running on this cache; waiting for it")
