"""How the command ends when something went wrong: a sentence, a hint, an exit code, no traceback."""

from __future__ import annotations

import os
import sys

from cyclopts import CycloptsError

from aether.cli.failures import ApiRefused, CommandFailed, ExitCode
from aether.cli.output import bold, printable, say
from aether.domain.errors import AetherError, InvalidRequest


def end_with(error: BaseException) -> int:
    """Tell on stderr what happened; returns the exit code."""
    code, message, hint = _explain(error)
    if message:
        say(f"{bold('aether:', sys.stderr)} {printable(message)}")
    fields = error.fields if isinstance(error, ApiRefused) else {}
    for field, what in fields.items():
        say(f"  {field}: {printable(what)}")
    for line in (hint or "").splitlines():
        say(f"  {printable(line)}")
    if isinstance(error, BrokenPipeError):
        _let_go_of_stdout()
    return code


def _explain(error: BaseException) -> tuple[ExitCode, str, str | None]:
    found: tuple[ExitCode, str, str | None]
    match error:
        case KeyboardInterrupt():
            found = ExitCode.INTERRUPTED, "", None
        case BrokenPipeError():
            found = ExitCode.BROKEN_PIPE, "", None
        case CycloptsError():
            command = " ".join(("aether", *(error.command_chain or ())))
            found = ExitCode.USAGE, str(error), f"See: {command} --help"
        case CommandFailed():
            found = error.exit_code, error.message, error.hint
        case AetherError():
            code = ExitCode.USAGE if isinstance(error, InvalidRequest) else ExitCode.REFUSED
            found = code, error.message, error.hint
        case OSError():
            file = f": {error.filename}" if error.filename else ""
            found = ExitCode.REFUSED, f"{error.strerror or error}{file}.", None
        case _:
            told = f"Internal error: {type(error).__name__}: {error}"
            found = ExitCode.INTERNAL, told, "For the traceback, run it again with AETHER_DEBUG=1."
    return found


def _let_go_of_stdout() -> None:
    """Whoever read our output has gone: nothing more can be flushed to it when Python exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
