"""`aether status`, `workers` and `runtime list`."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from aether.cli import output, shapes
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.options import PLAIN, Json

RUNTIME_COLUMNS = ("name", "default_entrypoint", "command")

runtime = App(name="runtime", default_parameter=PLAIN, help="Show what functions can be written for.")


def status(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show how the platform is doing: version, functions, instances, workers.

    **Examples**

    ```
    aether status
    aether status --url http://faas.example:8080 --json
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        found = client.status()
        url = client.url
    if json:
        output.print_json(found)
    else:
        output.print_fields([("url", url), *((name, _field(name, value)) for name, value in found.items())])


def workers(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """List the hosts that instances run on.

    **Examples**

    ```
    aether workers
    aether workers --json | jq -r '.[] | select(.draining) | .id'
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        found = client.workers()
    header = ("WORKER", "HOST", "VERSION", "FREE MEMORY", "FREE SLOTS", "LOAD", "LIMITS", "STATE")
    rows = [_worker_row(worker) for worker in found]
    output.print_list(found, header, rows, empty="No workers: nothing can be started.", json=json)


@runtime.command(name="list")
def list_runtimes(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """List the runtimes that functions can be deployed for.

    **Examples**

    ```
    aether runtime list
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        found = client.runtimes()
    header = [column.replace("_", " ").upper() for column in RUNTIME_COLUMNS]
    rows = [[_text(entry.get(column)) for column in RUNTIME_COLUMNS] for entry in found]
    output.print_list(found, header, rows, empty="No runtimes: build them with aether setup.", json=json)


def _worker_row(worker: shapes.WorkerJson) -> tuple[str, ...]:
    return (
        worker["id"],
        worker["hostname"],
        worker["version"],
        f"{output.size(worker['free_mem'])} of {output.size(worker['total_mem'])}",
        str(worker["free_slots"]),
        str(worker["load"]),
        _text(worker.get("limits")),
        _state(worker),
    )


def _state(worker: shapes.WorkerJson) -> str:
    if worker["draining"]:
        return "draining"
    missing = worker.get("short_of", 0)
    return f"short of {output.size(missing)}" if missing else "ready"


def _field(name: str, value: Any) -> str:
    return output.size(value) if name.endswith("_mem") and isinstance(value, int) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(_text(item) for item in value) or "none"
    return "none" if value in (None, "") else output.printable(str(value))
