"""`aether completion`: commands and options completed by the shell."""

from __future__ import annotations

from typing import Literal

from cyclopts import App
from cyclopts.completion.detect import ShellDetectionError

from aether.cli import output
from aether.cli.failures import Refused

PROGRAM = "aether"

completion = App(
    name="completion",
    help="""Complete commands in your shell.

**Examples**

```
aether completion install
aether completion bash > /etc/bash_completion.d/aether
```
""",
)


@completion.command
def bash() -> None:
    """Print the script for bash."""
    _print("bash")


@completion.command
def zsh() -> None:
    """Print the script for zsh."""
    _print("zsh")


@completion.command
def fish() -> None:
    """Print the script for fish."""
    _print("fish")


@completion.command
def install() -> None:
    """Put the script where your shell finds it, and say where that is.

    Bash and zsh also get a line in their start-up file.
    """
    from aether.cli.main import build_app  # noqa: PLC0415 - main knows all commands, this one too

    try:
        path = build_app().install_completion()
    except ShellDetectionError:
        raise Refused(
            "Can't tell which shell this is.", hint="Use: aether completion bash, zsh or fish"
        ) from None
    output.say(f"Wrote {path}; it works in shells started from now on.")


def _print(shell: Literal["bash", "zsh", "fish"]) -> None:
    from aether.cli.main import build_app  # noqa: PLC0415 - main knows all commands, this one too

    print(build_app().generate_completion(prog_name=PROGRAM, shell=shell))
