"""How a command fails: an exit code for scripts, a sentence and a hint for people.

CommandFailed
├── Refused           1   the platform said no, or what was given can't be used
├── WrongUsage        2   options or arguments make no sense
├── Unreachable       3   nothing that speaks our API answers at the URL
├── FunctionAnswered  4   `invoke`: the function itself answered with status 400 or above
└── StoreFailed       5   a role's store is not reached, or refuses us
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ExitCode(IntEnum):
    """What scripts may rely on; 130 is Ctrl-C, as in every shell."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    FUNCTION_ERROR = 4
    STORE = 5
    INTERNAL = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class CommandFailed(Exception):
    """`message` is a sentence; `hint`, where there is one, is what to do about it."""

    exit_code = ExitCode.REFUSED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Refused(CommandFailed):
    pass


class ApiRefused(Refused):
    """The platform's own error, `{"error": {...}}` of the wire contract."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        fields: Mapping[str, str] | None = None,
        call_id: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.fields = dict(fields or {})
        self.call_id = call_id


class WrongUsage(CommandFailed):
    exit_code = ExitCode.USAGE


class Unreachable(CommandFailed):
    exit_code = ExitCode.UNREACHABLE


class FunctionAnswered(CommandFailed):
    exit_code = ExitCode.FUNCTION_ERROR


class StoreFailed(CommandFailed):
    exit_code = ExitCode.STORE
