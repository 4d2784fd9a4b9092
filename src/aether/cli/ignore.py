"""Which files of a folder stay out of an upload: `.aetherignore`, by the rules of gitignore(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from aether.cli.failures import Refused

FILE_NAME = ".aetherignore"

DEFAULTS = (
    ".aetherignore",
    ".git",
    ".hg",
    ".svn",
    ".DS_Store",
    ".venv/",
    "__pycache__/",
    "*.pyc",
    "*.swp",
    "npm-debug.log",
)
"""What no function needs at run time; `!pattern` in an .aetherignore takes one back."""


@dataclass(frozen=True, slots=True)
class Rule:
    pattern: re.Pattern[str]
    keeps: bool
    folders_only: bool


@dataclass(frozen=True, slots=True)
class Ignore:
    """The last rule that matches a path decides."""

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, lines: Iterable[str]) -> Self:
        """The defaults, then the lines of an .aetherignore."""
        return cls(tuple(rule for line in (*DEFAULTS, *lines) if (rule := _rule(line)) is not None))

    def ignores(self, path: str, *, folder: bool) -> bool:
        """`path` is relative, with `/`; what is in an ignored folder is never asked about."""
        ignored = False
        for rule in self.rules:
            if (folder or not rule.folders_only) and rule.pattern.fullmatch(path):
                ignored = not rule.keeps
        return ignored


def _rule(line: str) -> Rule | None:
    text = re.sub(r"(?<!\\) +$", "", line.rstrip("\r\n"))
    if not text or text.startswith("#"):
        return None
    keeps = text.startswith("!")
    text = text.removeprefix("!")
    folders_only = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    anchored = "/" in text
    expression = _expression(text.lstrip("/"))
    try:
        pattern = re.compile(expression if anchored else f"(?:.*/)?{expression}", re.DOTALL)
    except re.error as error:
        raise Refused(f"{FILE_NAME}: {line.strip()!r} is not a pattern: {error}.") from None
    return Rule(pattern, keeps, folders_only)


TOKENS = re.compile(
    r"(?P<deep>(?<![^/])\*\*/)|(?P<rest>/\*\*$)|(?P<star>\*+)|(?P<one>\?)"
    r"|\\(?P<quoted>.)|(?P<set>\[[^]]+\])|(?P<plain>.)",
    re.DOTALL,
)


def _expression(glob: str) -> str:
    """A gitignore glob as a regular expression: `*` and `?` stop at a slash, `**` doesn't."""
    parts = []
    for token in TOKENS.finditer(glob):
        match token.lastgroup:
            case "deep":
                parts.append("(?:.*/)?")
            case "rest":
                parts.append("/.+")
            case "star":
                parts.append("[^/]*")
            case "one":
                parts.append("[^/]")
            case "set":
                parts.append(_set(token.group()))
            case _:
                parts.append(re.escape(token.group("quoted") or token.group()))
    return "".join(parts)


def _set(glob: str) -> str:
    inside = glob[1:-1].replace("\\", r"\\").replace("[", r"\[")
    negated = inside.startswith(("!", "^"))
    return f"[{'^/' if negated else ''}{inside[1:] if negated else inside}]"
