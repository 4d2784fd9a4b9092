"""`aether list`, `describe` and `rm`."""

from __future__ import annotations

from aether.cli import output, shapes
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.failures import ApiRefused
from aether.cli.options import Json

SHOWN_INVOCATIONS = 5


def list_functions(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """List functions, oldest first.

    **Examples**

    ```
    aether list
    aether list --json | jq -r '.[].name'
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        functions = client.functions()
    output.print_list(
        functions,
        ("NAME", "RUNTIME", "MEMORY", "STATE", "UPDATED", "ID"),
        [_row(f) for f in functions],
        empty="No functions yet. Deploy one: aether deploy PATH",
        json=json,
    )


def describe(name: str, /, *, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show one function: its settings, its instances and its newest calls.

    **Examples**

    ```
    aether describe hello
    aether describe hello --json | jq .function.env_vars
    ```

    Parameters
    ----------
    name
        Name or id of the function.
    json
        Print one object: `function`, `instances`, `invocations`.
    """
    with connection.open() as client:
        function = client.function(name)
        instances = client.instances(name)
        invocations = client.invocations(name, SHOWN_INVOCATIONS)
        url = client.call_url(function["name"])
    if json:
        output.print_json({"function": function, "instances": instances, "invocations": invocations})
        return
    output.print_fields([*_fields(function), ("url", url)])
    if instances:
        print()
        output.print_table(("INSTANCE", "STATUS", "AGE", "WORKER"), [_instance_row(i) for i in instances])
    if invocations:
        print()
        header = ("CALL", "STATUS", "HTTP", "MS", "STARTED", "REMARKS")
        output.print_table(header, [_invocation_row(i) for i in invocations])


def remove(
    names: tuple[str, ...],
    /,
    *,
    ignore_missing: bool = False,
    connection: Connection = DEFAULT_CONNECTION,
) -> None:
    """Remove functions: their instances are stopped, their code and records deleted.

    Each name is tried; the exit code is 1 if any could not be removed.

    **Examples**

    ```
    aether rm hello
    aether rm hello world --ignore-missing
    ```

    Parameters
    ----------
    names
        Names or ids of functions.
    ignore_missing
        A function that isn't there is no error.
    """
    failed: ApiRefused | None = None
    with connection.open() as client:
        for name in names:
            try:
                client.delete(name)
                output.say(f"Removed {name}.")
            except ApiRefused as refused:
                if refused.code == "function_not_found" and ignore_missing:
                    continue
                if failed is not None:
                    output.say(output.printable(failed.message))
                failed = refused
    if failed is not None:
        raise failed


def remarks(call: shapes.InvocationJson) -> str:
    """What was unusual: second tries, and what went wrong, of which --json has all lines."""
    attempts = call.get("attempts", 1)
    tries = [f"{attempts} attempts"] if attempts > 1 else []
    error = output.printable(call.get("error_message") or "").strip()
    return ": ".join([*tries, *error.splitlines()[:1]])


def _row(function: shapes.FunctionJson) -> tuple[str, ...]:
    return (
        function["name"],
        function["runtime"],
        f"{function['memory_mb']} MB",
        _state(function),
        output.age(function["updated_at"]),
        function["id"],
    )


def _state(function: shapes.FunctionJson) -> str:
    """How the newest version is doing, in a word or two."""
    if not function["code_path"]:
        return "no code"
    # An earlier platform doesn't tell.
    return output.printable(function["rollout"]["status"]) if "rollout" in function else "-"


def _fields(function: shapes.FunctionJson) -> list[tuple[str, str]]:
    """All that the platform says of a function, also what this version doesn't know yet."""
    shown = []
    for name, value in function.items():
        if name == "env_vars":
            # Values are often secrets, and terminals are often shared; --json has them.
            text = ", ".join(sorted(function["env_vars"])) or "none"
        elif name.endswith("_at") and isinstance(value, str):
            text = output.local_time(value)
        elif name == "rollout":
            rollout = function["rollout"]
            text = rollout["status"] + (f": {rollout['reason']}" if rollout["reason"] else "")
        elif isinstance(value, list):
            text = ", ".join(str(item) for item in value) or "none"
        else:
            text = "none" if value in (None, "") else str(value)
        shown.append((name, output.printable(text)))
    return shown


def _instance_row(instance: shapes.InstanceJson) -> tuple[str, ...]:
    until = instance.get("drain_until")
    return (
        instance["instance_id"],
        instance["status"] + (f" until {output.local_time(until)}" if until else ""),
        output.age(instance["started_at"]),
        instance["worker_id"],
    )


def _invocation_row(call: shapes.InvocationJson) -> tuple[str, ...]:
    return (
        call.get("call_id") or call["id"],
        call["status"],
        str(call.get("http_status") or "-"),
        str(call["duration_ms"]),
        output.local_time(call["started_at"]),
        remarks(call),
    )
