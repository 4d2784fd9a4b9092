"""What of a console is worth telling with a failure: what the function said last."""

from __future__ import annotations

LIMIT_CHARS = 2000
_OWN = ("[stdout] ", "[stderr] ", "[agent] ")
"""How a console marks lines of the function and its agent; the others are the machine's."""
_NOISE = ("PCI: Fatal: No config space access function found",)
"""What kernels say of every machine, and mean nothing by."""
_ERRORS = "[stderr] "
_HEAD_SHARE = 0.7
"""Of a long report of errors: what went wrong stands at its top, and the stack goes on for ever."""


def last_words(console: str, limit_chars: int = LIMIT_CHARS) -> str:
    """The end of a console, from where the function's own output begins; all of it if there is none.

    Where it ends with a report of errors that is longer than the limit, that report's top and end.
    """
    lines = [line.rstrip() for line in console.replace("\r", "\n").split("\n")]
    lines = [line for line in lines if line and not line.endswith(_NOISE)]
    own = next((i for i, line in enumerate(lines) if line.startswith(_OWN)), 0)
    lines = lines[own:]
    if sum(len(line) + 1 for line in lines) <= limit_chars:
        return "\n".join(lines)
    report = _report(lines)
    if len(report) > limit_chars:
        head = int(limit_chars * _HEAD_SHARE)
        return f"{report[:head]}\n…\n{_tail(report, limit_chars - head - 3)}"
    return _tail("\n".join(lines), limit_chars)


def _report(lines: list[str]) -> str:
    """The errors that the function printed last, in one piece; what the agent says of its end aside."""
    end = len(lines)
    while end and not lines[end - 1].startswith(_ERRORS):
        end -= 1
    begin = end
    while begin and lines[begin - 1].startswith(_ERRORS):
        begin -= 1
    return "\n".join(lines[begin:end])


def _tail(text: str, limit_chars: int) -> str:
    """Whole lines, unless one is longer than all there is room for."""
    kept = text[-limit_chars:]
    _, newline, rest = kept.partition("\n")
    return rest if newline and len(kept) < len(text) else kept
