"""Waiting until a function's newest version has started, once, or has failed to."""

from __future__ import annotations

import time

from aether.cli import output, shapes
from aether.cli.client import Client
from aether.cli.failures import ApiRefused, Refused

WAIT_S = 180.0
"""Some starts, and a second try of each: emulated machines take seconds."""
LOOK_EVERY_S = 0.2
ASK_EVERY_S = 2.0
"""An earlier version's start, under way, can keep the platform from starting another at once."""


def wait_until_ready(client: Client, function: shapes.FunctionJson) -> shapes.FunctionJson:
    """Has an instance started where there was none, and gives the function as it is then.

    A platform that doesn't tell of rollouts is not waited for. One that failed before is tried
    once more, and returned as failed if it fails again.
    Raises Refused when it takes too long, or nothing can be started.
    """
    if "rollout" not in function or function["rollout"]["status"] == "ready":
        return function
    with output.waiting(f"Starting {function['name']}"):
        give_up_at = time.monotonic() + WAIT_S
        ask_at = 0.0
        while time.monotonic() < give_up_at:
            if time.monotonic() >= ask_at:
                function, ask_at = _ask(client, function), time.monotonic() + ASK_EVERY_S
            else:
                function = client.function(function["id"])
            if _decided(function):
                return function
            time.sleep(LOOK_EVERY_S)
    raise Refused(
        f"{function['name']} is deployed, but did not start within {WAIT_S:.0f} s.",
        hint=f"Its output: aether logs {function['name']}",
    )


def failure(function: shapes.FunctionJson, *, changed: bool, earlier: bool) -> Refused | None:
    """What to tell of a version that does not run, the console's last lines with it.

    `changed` says that it is new now, `earlier` that there was code before it.
    """
    rollout = function.get("rollout")
    if rollout is None or rollout["status"] not in {"failed", "crashing"}:
        return None
    name, reason = function["name"], (rollout["reason"] or "no reason was told").rstrip(".")
    what = f"{name} is deployed, but does not start" if changed else f"{name} did not start when last tried"
    if rollout["status"] == "crashing":
        what = f"{name} starts, and then keeps ending"
        earlier = False  # one that was ready once is not replaced by another
    hint = [(rollout["console"] or "").rstrip()]
    if earlier:
        hint.append("If an earlier version was ready, it goes on serving.")
    return Refused(f"{what}: {reason}.", hint="\n".join(line for line in hint if line))


def _ask(client: Client, function: shapes.FunctionJson) -> shapes.FunctionJson:
    try:
        return client.start(function["id"])
    except ApiRefused as refused:
        # That the code is there is worth saying: the first call may still start it.
        refused.message = f"{function['name']} is deployed, but can't be started now: {refused.message}"
        raise


def _decided(function: shapes.FunctionJson) -> bool:
    return function["rollout"]["status"] in {"ready", "crashing", "failed"}
