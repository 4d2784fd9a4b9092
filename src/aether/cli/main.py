"""The command `aether`: what it has, and how it ends."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Container, Sequence

from cyclopts import App

from aether import __version__
from aether.cli.ending import end_with
from aether.cli.failures import ExitCode, WrongUsage
from aether.cli.options import PLAIN

EPILOGUE = """\
Exit codes: 0 done · 1 refused by the platform · 2 wrong usage · 3 platform not reached ·
4 the invoked function answered with an error · 5 a store was not reached, or refused · 130 interrupted.

Environment: AETHER_URL, AETHER_KEY, AETHER_PROFILE, AETHER_DATA_DIR; NO_COLOR turns colour off.
"""

COMMANDS = (
    ("Platform", "aether.cli.up:up", "up", "Start the platform on this machine."),
    (
        "Platform",
        "aether.cli.commands.gateway:gateway",
        "gateway",
        "Run a gateway, over stores that all share.",
    ),
    ("Platform", "aether.cli.commands.worker:worker", "worker", "Run a worker, list workers, or drain one."),
    (
        "Platform",
        "aether.cli.commands.controller:controller",
        "controller",
        "Run a controller by itself, to scale functions.",
    ),
    (
        "Platform",
        "aether.cli.commands.db:db",
        "db",
        "Bring the database up to date, or take another one over.",
    ),
    ("Platform", "aether.cli.demo:demo", "demo", "Start it, deploy an example, call it, and stop again."),
    ("Platform", "aether.cli.commands.machine:setup", "setup", "Build what microVMs are made of."),
    (
        "Platform",
        "aether.cli.commands.machine:doctor",
        "doctor",
        "Say what this machine can do, and what to fix.",
    ),
    ("Platform", "aether.cli.commands.platform:status", "status", "Show how the platform is doing."),
    ("Platform", "aether.cli.commands.workers:workers", "workers", "List workers."),
    (
        "Platform",
        "aether.cli.commands.platform:runtime",
        "runtime",
        "Show what functions can be written for.",
    ),
    ("Functions", "aether.cli.commands.deploy:deploy", "deploy", "Create a function, or update it."),
    ("Functions", "aether.cli.commands.invoke:invoke", "invoke", "Call a function and print its answer."),
    ("Functions", "aether.cli.commands.functions:list_functions", "list", "List functions."),
    ("Functions", "aether.cli.commands.functions:describe", "describe", "Show one function."),
    ("Functions", "aether.cli.commands.logs:logs", "logs", "Print what a function printed."),
    ("Functions", "aether.cli.commands.functions:remove", "rm", "Remove functions and their code."),
    (
        "This command",
        "aether.cli.commands.config:config",
        "config",
        "Show every setting, and where it came from.",
    ),
    (
        "This command",
        "aether.cli.commands.profile:profile",
        "profile",
        "Name the platforms that you talk to.",
    ),
    (
        "This command",
        "aether.cli.commands.completion:completion",
        "completion",
        "Complete commands in your shell.",
    ),
)
"""Group, where it is, its name, one line of help: modules are imported when their command is used."""


NAMES = frozenset(name for _, _, name, _ in COMMANDS)


def build_app(whole: Container[str] = NAMES) -> App:
    """The command line; of the commands in `whole`, help is read out of their own docstrings.

    That imports them: for the others the one line above will do.
    """
    app = App(
        name="aether",
        help="Functions as a service on your own Linux hosts, every instance in a microVM of its own.",
        help_epilogue=EPILOGUE,
        help_format="markdown",
        version=__version__,
        version_flags=["--version", "-V"],
        default_parameter=PLAIN,
        suppress_keyboard_interrupt=False,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    for group, where, name, help_text in COMMANDS:
        app.command(where, name=name, group=group, help=None if name in whole else help_text)
    return app


def main(tokens: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    words = list(sys.argv[1:] if tokens is None else tokens)
    try:
        result = build_app(_check(words[:1]))(words)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("AETHER_DEBUG"):
            raise
        return end_with(error)
    return result if isinstance(result, int) else ExitCode.OK


def _check(first: list[str]) -> list[str]:
    """The same. Raises WrongUsage for a command that isn't there, with one that is close."""
    for word in first:
        if not word.startswith("-") and word not in NAMES:
            close = difflib.get_close_matches(word, NAMES, n=1, cutoff=0.5)
            hint = f"Did you mean: aether {close[0]}" if close else "See: aether --help"
            raise WrongUsage(f"There is no command {word!r}.", hint=hint)
    return first
