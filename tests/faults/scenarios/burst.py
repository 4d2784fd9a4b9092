"""Many requests at once for a function that has no instance."""

from __future__ import annotations

from tests.faults.stage import Stage

REQUESTS = 500
CONCURRENCY = 10
INSTANCES = REQUESTS // CONCURRENCY
DEADLINE_S = 20.0
LIMITS = {
    "timeout_s": DEADLINE_S,
    "max_concurrency": CONCURRENCY,
    "max_instances": INSTANCES,
    "max_starts_in_flight": INSTANCES,
}
BEHAVE = {"boot_s": 0.25, "respond_s": 4.0}
"""A worker starts some at a time: answers take longer than all of that, so that all are needed."""
NEEDED = 0.8
"""Of ceil(N/C): on a busy machine the first may be done before the last have started."""


async def play(stage: Stage) -> None:
    """A burst of 500 at a cold function that runs 10 at once; before, the same at a warm one."""
    async with stage.platform() as platform:
        await platform.deploy("warm", behave=BEHAVE, min_instances=INSTANCES, **LIMITS)
        await platform.deploy("cold", behave=BEHAVE, **LIMITS)

        async def warm() -> bool:
            return len(await platform.instances("warm")) == INSTANCES

        await platform.until(warm, 30, "all instances of the warm function")
        with stage.client(platform, "warm", DEADLINE_S) as client:
            await client.burst(REQUESTS)
        with stage.client(platform, "cold", DEADLINE_S) as client:
            client.phase = "during"
            answers = await client.burst(REQUESTS)
        instances = {a.document["instance_id"] for a in answers if a.document and "instance_id" in a.document}
        stage.facts["instances"] = len(instances)
        enough = NEEDED * INSTANCES <= len(instances) <= INSTANCES
        stage.check(enough, f"{len(instances)} instances, not ceil(N/C), which is {INSTANCES}")
        at_most = max(
            sum(1 for a in answers if a.document and a.document.get("instance_id") == i) for i in instances
        )
        stage.facts["most_per_instance"] = at_most
