"""Waiting until a function's newest version has started, once, or has failed to."""

from __future__ import annotations

import time

from aether.cli import output, shapes
from aether.cli.client import Client
from aether.cli.failures import Refused

WAIT_S = 180.0
"""Some starts, and a second try of each: emulated machines take seconds."""
LOOK_EVERY_S = 0.2
ASK_EVERY_S = 2.0
"""An earlier version's start, under way, can keep the platform from starting another at once."""


def wait_until_ready(client: Client, function: shapes.FunctionJson) -> shapes.FunctionJson:
    """Has an instance started where there was none, and gives the function as it is then.

    A platform that doesn't tell of rollouts is not waited for. A failed one is returned as such.
    Raises Refused when it takes too long, ApiRefused when nothing can be started.
    """
    if "rollout" not in function or _decided(function):
        return function
    with output.waiting(f"Starting {function['name']}"):
        give_up_at = time.monotonic() + WAIT_S
        ask_at = 0.0
        while time.monotonic() < give_up_at:
            if time.monotonic() >= ask_at:
                function, ask_at = client.start(function["id"]), time.monotonic() + ASK_EVERY_S
            else:
                function = client.function(function["id"])
            if _decided(function):
                return function
            time.sleep(LOOK_EVERY_S)
    raise Refused(
        f"{function['name']} is deployed, but did not start within {WAIT_S:.0f} s.",
        hint=f"Its output: aether logs {function['name']}",
    )


def failure(function: shapes.FunctionJson) -> Refused | None:
    """What to tell of a version that did not start, the console's last lines with it."""
    rollout = function.get("rollout")
    if rollout is None or rollout["status"] != "failed":
        return None
    reason = (rollout["reason"] or "no reason was told").rstrip(".")
    serves = "An earlier version that was ready goes on serving."
    console = (rollout["console"] or "").rstrip()
    return Refused(
        f"{function['name']} is deployed, but its code does not start: {reason}.",
        hint=f"{console}\n{serves}" if console else serves,
    )


def _decided(function: shapes.FunctionJson) -> bool:
    return function["rollout"]["status"] in {"ready", "failed"}
