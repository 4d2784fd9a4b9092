"""Which file of a package is the function, when its author doesn't say."""

from __future__ import annotations

import json
from posixpath import normpath

from aether.cli.failures import Refused
from aether.cli.package import Package

CANDIDATES = {
    "node": ("handler.js", "handler.mjs", "handler.cjs", "index.js", "index.mjs", "server.js", "app.js"),
    "python": ("handler.py", "main.py", "app.py"),
}
"""By the runtime's name without its version: `handler.*` is ours, the rest what other platforms and
generators write. package.json's main comes between the two: it is its author's word."""

MANY = 8


def choose_entrypoint(package: Package, runtime: str, given: str | None, current: str | None) -> str | None:
    """The one given; else the function's current one if it's still there; else by custom.

    None leaves it to the platform: a runtime whose customs we don't know. Raises Refused when the
    one given is not in the package, or nothing fits.
    """
    if given is not None:
        name = normpath(given)
        if name not in package.names:
            raise Refused(f"There is no {given} in what is uploaded.", hint=_what_is_there(package))
        return name
    if current in package.names:
        return current
    family = runtime.split("-", maxsplit=1)[0].rstrip("0123456789.")
    candidates = CANDIDATES.get(family)
    if candidates is None:
        return None
    ours, others = [c for c in candidates if c.startswith("handler.")], candidates
    main = _main_of(package)
    for candidate in (*ours, *([main] if main else []), *others):
        if candidate in package.names:
            return candidate
    raise Refused(
        f"Which file is the function? None of {', '.join(candidates)} is there"
        f"{', nor a package.json whose main is' if family == 'node' else ''}.",
        hint=f"Say it with --entrypoint FILE. {_what_is_there(package)}",
    )


def _main_of(package: Package) -> str | None:
    """`main` of package.json, with the ending that Node would add."""
    try:
        main = json.loads(package.package_json or b"{}").get("main")
    except (ValueError, AttributeError):
        return None
    if not isinstance(main, str):
        return None
    name = normpath(main)
    return next((n for n in (name, f"{name}.js", f"{name}/index.js") if n in package.names), None)


def _what_is_there(package: Package) -> str:
    top = sorted({name.split("/")[0] + ("/" if "/" in name else "") for name in package.names})
    if len(top) == 1 and top[0].endswith("/"):
        return f"Everything is inside the folder {top[0]}: pack its content instead."
    more = f" and {len(top) - MANY} more" if len(top) > MANY else ""
    return f"At the top are: {', '.join(top[:MANY])}{more}."
