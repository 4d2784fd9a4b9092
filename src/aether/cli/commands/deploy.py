"""`aether deploy`: create a function, or bring it up to date."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from aether.cli import output, shapes
from aether.cli.commands.function_fields import NOTHING_GIVEN, Fields, environment
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.entrypoint import choose_entrypoint
from aether.cli.failures import WrongUsage
from aether.cli.options import Json
from aether.cli.timing import waterfall
from aether.domain.function import NAME

if TYPE_CHECKING:
    from aether.cli.deployment import Deployed
    from aether.cli.package import Package

DEFAULT_RUNTIME = "node"
LABEL_CHARACTERS = 63


def deploy(
    path: Path,
    /,
    *,
    name: Annotated[str | None, Parameter(name=["--name", "-n"])] = None,
    env: Annotated[tuple[str, ...], Parameter(name=["--env", "-e"])] = (),
    unset_env: tuple[str, ...] = (),
    fields: Fields = NOTHING_GIVEN,
    wait: Annotated[bool, Parameter(negative="--no-wait")] = True,
    force: bool = False,
    json: Json = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Create a function from a folder, a file, a zip or a tar.gz; or update the one of that name.

    The next call is served by the new code. If the platform refuses it, all stays as it was. What
    the platform has already is not uploaded again. Then one instance is started: a version that does
    not start gives exit code 1 and the end of its console, and the version before goes on serving.
    `.aetherignore` names files of a folder that stay out, by the rules of `.gitignore`.

    **Examples**

    ```
    aether deploy examples/hello-node
    aether deploy . --name shop --memory 256 --env STAGE=test --env API_TOKEN
    aether deploy build/app.zip --entrypoint server.js --no-wait
    ```

    Parameters
    ----------
    path
        Folder, single file, zip or tar.gz with the function's code.
    name
        Name of the function, a DNS label. Default: made from that of the folder or file.
    env
        `NAME=value` for its environment; a bare `NAME` takes your shell's value. Repeatable.
    unset_env
        Name of a variable to take away. Repeatable.
    wait
        Start an instance and wait for it. With --no-wait the first call starts one.
    force
        Upload although nothing changed.
    json
        Print one object: `created`, `changed`, `uploaded`, `function`, `code`, `url`.
    """
    # httpx, tar, zip and gzip: only when needed.
    from aether.cli.deployment import apply, current_function  # noqa: PLC0415 - see above
    from aether.cli.package import open_package  # noqa: PLC0415 - see above
    from aether.cli.rollout import failure, wait_until_ready  # noqa: PLC0415 - see above

    name = name or name_from(path)
    changes = fields.given()
    with ExitStack() as stack:
        with output.waiting("Packing"):
            package = stack.enter_context(open_package(path))
        client = stack.enter_context(connection.open())
        current = current_function(client, name)
        if current is None:
            changes.setdefault("runtime", DEFAULT_RUNTIME)
        changes |= environment(env, unset_env, current["env_vars"] if current else {})
        changes |= _entrypoint(package, changes, current)
        deployed = apply(client, name, current, changes, package, upload_always=force)
        url = client.call_url(deployed.function["name"])
        if not json:
            _tell(deployed, url)
            sys.stdout.flush()
        function = wait_until_ready(client, deployed.function) if wait else deployed.function
    if json:
        output.print_json(_as_json(deployed, function, url))
    earlier = current is not None and bool(current["code_path"])
    failed = failure(function, changed=deployed.changed, earlier=earlier) if wait else None
    if failed is not None:
        raise failed
    if wait and not json and deployed.changed:
        _tell_start(function)


def name_from(path: Path) -> str:
    """A DNS label out of a folder's or file's name. Raises WrongUsage when nothing is left of it."""
    found = path.resolve().name
    if not path.is_dir():
        found = re.sub(r"\.(tar\.gz|tgz|zip|[a-z]+)$", "", found, flags=re.IGNORECASE)
    label = re.sub(r"[^a-z0-9]+", "-", found.lower()).strip("-")[:LABEL_CHARACTERS].strip("-")
    if not NAME.fullmatch(label):
        raise WrongUsage(f"{found!r} makes no name for a function.", hint="Give one with --name.")
    return label


def _entrypoint(
    package: Package, changes: Mapping[str, Any], current: shapes.FunctionJson | None
) -> dict[str, str]:
    runtime = changes.get("runtime") or (current["runtime"] if current else DEFAULT_RUNTIME)
    chosen = choose_entrypoint(
        package, runtime, changes.get("entrypoint"), current["entrypoint"] if current else None
    )
    return {} if chosen is None else {"entrypoint": chosen}


def _as_json(deployed: Deployed, function: shapes.FunctionJson, url: str) -> dict[str, Any]:
    return {
        "created": deployed.created,
        "changed": deployed.changed,
        "uploaded": deployed.code is not None,
        "function": function,
        "code": deployed.code
        or {"code_path": function["code_path"], "sha256": function.get("code_sha256", "")},
        "url": url,
    }


def _tell(deployed: Deployed, url: str) -> None:
    function, code = deployed.function, deployed.code
    name = function["name"]
    what = "Created" if deployed.created else "Updated" if deployed.changed else "Unchanged:"
    print(f"{what} {output.bold(name)} ({function['id']}).")
    told = (
        f"sha256 {code['sha256']}, {output.size(code['size_bytes'])}" if code else "as it was; not uploaded"
    )
    output.print_fields(
        [
            ("url", url),
            ("entrypoint", function["entrypoint"]),
            ("code", told),
            ("call it", f"aether invoke {name}"),
        ]
    )


def _tell_start(function: shapes.FunctionJson) -> None:
    phases = function["rollout"]["phases"] if "rollout" in function else None
    if phases:
        output.say(f"Its first instance was ready after {sum(phases.values()):.0f} ms:")
        for line in waterfall(list(phases.items()), encoding=sys.stderr.encoding):
            output.say(f"  {line}")
