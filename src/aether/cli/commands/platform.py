"""`aether status` and `runtime list`."""

from __future__ import annotations

from typing import Any

from cyclopts import App

from aether.cli import output, shapes
from aether.cli.commands.workers import print_workers
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.options import PLAIN, Json

OWN_TABLES = ("stores", "gateways", "stale")
RUNTIME_COLUMNS = ("name", "default_entrypoint", "command")

runtime = App(name="runtime", default_parameter=PLAIN, help="Show what functions can be written for.")


def status(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Show how the platform is doing: functions, instances, stores, gateways, workers.

    Stores are as the gateway that answers finds them. Where all is one process, there are neither stores
    nor gateways to tell of.

    **Examples**

    ```
    aether status
    aether status --json | jq -r '.stores[] | select(.ok | not) | .reason'
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        found = client.status()
        if json:
            output.print_json(found)
            return
        whole = {name: value for name, value in found.items() if name not in OWN_TABLES}
        output.print_fields(
            [("url", client.url), *((name, _field(name, value)) for name, value in whole.items())]
        )
        if found.get("stale"):
            output.say("etcd is away: this is as the gateway knew it last.")
        _print_stores(found.get("stores") or [])
        _print_gateways(found.get("gateways") or [])
        if found.get("gateways") and not found.get("stale"):
            print()
            print_workers(client.workers())


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


def _print_stores(found: list[shapes.StoreJson]) -> None:
    if found:
        rows = [
            (
                store["name"],
                output.printable(store["address"]),
                "ok" if store["ok"] else "AWAY",
                f"{store['took_ms']:.0f} ms",
                output.printable(store["reason"]),
            )
            for store in found
        ]
        print()
        output.print_table(("STORE", "ADDRESS", "STATE", "TOOK", ""), rows)


def _print_gateways(found: list[shapes.GatewayJson]) -> None:
    if found:
        rows = [
            (
                gateway["id"],
                gateway["hostname"],
                gateway["address"] or "none",
                gateway["version"],
                gateway["role"],
                "yes" if gateway["leads"] else "no",
                str(gateway["waiting"]),
                str(gateway["missing_room"]),
            )
            for gateway in found
        ]
        print()
        header = ("GATEWAY", "HOST", "ADDRESS", "VERSION", "ROLE", "SCALES", "WAITING", "NO ROOM")
        output.print_table(header, rows)


def _field(name: str, value: Any) -> str:
    return output.size(value) if name.endswith("_mem") and isinstance(value, int) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return " ".join(_text(item) for item in value) or "none"
    return "none" if value in (None, "") else output.printable(str(value))
