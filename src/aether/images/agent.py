"""The guest agent, compiled to one small static binary."""

from __future__ import annotations

from pathlib import Path

from aether.images.arch import Architecture
from aether.images.progress import Step
from aether.images.sources import agent_sources
from aether.images.tools import BuildTools

FLAGS = ("-std=c11", "-Os", "-static", "-s", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE")


def build_agent(target: Path, tools: BuildTools, architecture: Architecture, step: Step) -> None:
    """Compile `guest/agent/*.c` into `target`. Raises SetupFailed with the compiler's words."""
    tools.ensure(step)
    step.say("compiling the guest agent (the first time, the compiler builds its C library: about 40 s)")
    files = [path for path in agent_sources() if path.suffix == ".c"]
    step.run(
        [tools.compiler, "cc", "-target", architecture.compiler_target, *FLAGS, "-o", target, *files],
        env=tools.compiler_environment(),
    )
