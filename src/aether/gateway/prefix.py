"""Paths that would leave the prefix under which a function lives.

What stands between a client and the function may read dots, `%2e`, `%2f`, backslashes and `..;` as it
likes: a front proxy may have judged `/functions/a/../b` as b's where another server takes it for a's.
So a path that leads above its beginning under any reading is refused; any other one passes as sent.
"""

import re
from urllib.parse import unquote_to_bytes

from aether.domain.errors import BadRequest

_TWO_DOTS = re.compile(rb"(?:\.|%2[eE]){2}")
_SEPARATORS = re.compile(rb"[/\\]")


def check_path(path: bytes) -> None:
    """Raises BadRequest for a path, without its query, that leads above its own beginning."""
    if _TWO_DOTS.search(path) is None:
        return
    depth = 0
    for segment in path.split(b"/"):
        # `%2f` and a backslash may end a name or be part of one: whichever leads further up counts.
        names = [name.partition(b";")[0] for name in _SEPARATORS.split(unquote_to_bytes(segment))]
        if b".." in names:
            depth -= names.count(b"..")
            if depth < 0:
                raise BadRequest("the path leads out of its function")
        elif any(name not in (b"", b".") for name in names):
            depth += 1


def check_reference(reference: bytes) -> None:
    """Raises BadRequest for what stands where a function's name should and is a piece of a path."""
    decoded = unquote_to_bytes(reference)
    if decoded in (b".", b"..") or _SEPARATORS.search(decoded):
        raise BadRequest("there is no function's name in the path")
