"""The C compiler for tests: the host's, which has all sanitizers, else the one that set-up brings."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from aether.images.store import default_cache_dir
from aether.images.tools import BuildTools


def compile_c(arguments: list[str], *, sanitized: bool = False) -> None:
    """Run the compiler with these arguments; its words are the error's."""
    host = shutil.which("gcc")
    if host is not None:
        sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
        command, environment = [host, *(sanitizers if sanitized else [])], dict(os.environ)
    else:
        # It has no library for the address sanitizer; undefined behaviour traps.
        tools = BuildTools(default_cache_dir())
        sanitizers = ["-fsanitize=undefined", "-fsanitize-trap=undefined"]
        command = [str(tools.compiler), "cc", "-target", "x86_64-linux-musl", "-static"]
        command += sanitizers if sanitized else ["-fno-sanitize=all"]
        environment = os.environ | tools.compiler_environment()
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr


def compile_static(target: Path, source: Path) -> None:
    compile_c(["-static", "-Os", "-s", "-o", str(target), str(source)])
