"""`aether workers`, `worker list` and `worker drain`."""

from __future__ import annotations

import time

from aether.cli import output, shapes
from aether.cli.connection import DEFAULT_CONNECTION, Connection
from aether.cli.options import Json

LOOK_EVERY_S = 0.5
HEADER = (
    "WORKER",
    "HOST",
    "ADDRESS",
    "VERSION",
    "INSTANCES",
    "FREE MEMORY",
    "FREE SLOTS",
    "LOAD",
    "MICROVMS",
    "LIMITS",
    "STATE",
)


def workers(*, json: Json = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """List the hosts that instances run on.

    **Examples**

    ```
    aether workers
    aether worker list --json | jq -r '.[] | select(.draining) | .id'
    ```

    Parameters
    ----------
    json
        Print the API's JSON.
    """
    with connection.open() as client:
        found = client.workers()
    if json:
        output.print_json(found)
    else:
        print_workers(found)


def drain(worker_id: str, /, *, wait: bool = False, connection: Connection = DEFAULT_CONNECTION) -> None:
    """Hand over what a worker runs, and end it: it gets nothing new, and running requests may end.

    Other workers start what is needed in its place. A worker that runs by `aether worker` ends then; started
    again, it is as any other.

    **Examples**

    ```
    aether worker drain wrk-0b6f0c3a1d2e4f5a6b7c
    aether worker drain wrk-0b6f0c3a1d2e4f5a6b7c --wait
    ```

    Parameters
    ----------
    worker_id
        As `aether worker list` shows it.
    wait
        Return when nothing runs there any more.
    """
    with connection.open() as client:
        client.drain_worker(worker_id)
        output.say(f"{worker_id} drains.")
        told = -1
        while wait:
            left = _left(client.workers(), worker_id)
            if left == 0:
                output.say("Nothing runs there any more.")
                return
            if left is not None and left != told:
                told = left
                output.say(f"{left} instance{'s' if left > 1 else ''} left.")
            time.sleep(LOOK_EVERY_S)


def print_workers(found: list[shapes.WorkerJson]) -> None:
    rows = [_row(worker) for worker in found]
    output.print_list(found, HEADER, rows, empty="No workers: nothing can be started.", json=False)
    for worker in found:
        for gateway, why in worker.get("unreachable", {}).items():
            output.say(f"Gateway {gateway} can't reach {worker['id']}: {output.printable(why)}")


def _left(found: list[shapes.WorkerJson], worker_id: str) -> int | None:
    """Instances there, those on their way included; none of a worker that has gone.

    None as long as it does not say that it drains: until then it may be given more.
    """
    here = [worker for worker in found if worker["id"] == worker_id]
    if not all(worker["draining"] for worker in here):
        return None
    return sum(worker.get("instances", 0) + worker.get("starting", 0) for worker in here)


def _row(worker: shapes.WorkerJson) -> tuple[str, ...]:
    return (
        worker["id"],
        worker["hostname"],
        worker.get("public_ip", ""),
        worker["version"],
        str(worker.get("instances", "")),
        f"{output.size(worker['free_mem'])} of {output.size(worker['total_mem'])}",
        str(worker["free_slots"]),
        str(worker["load"]),
        f"{worker.get('vmm') or 'none'} {worker.get('accel', '')}".rstrip(),
        worker.get("limits") or "none",
        _state(worker),
    )


def _state(worker: shapes.WorkerJson) -> str:
    if worker["draining"]:
        return "draining"
    if worker.get("unreachable"):
        return "unreachable"
    missing = worker.get("short_of", 0)
    return f"short of {output.size(missing)}" if missing else "ready"
