"""Functions of a foreign gateway: their code is what `code.ext4` is, and they change without the registry."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import aclosing
from dataclasses import replace

import pytest

from aether.domain.function import FunctionConfig, Limits, Version
from aether.domain.instance import InstanceStatus
from aether.domain.job import ProvisionJob
from aether.ports.vmm import ignore_log
from aether.worker import foreign_code
from aether.worker.code_cache import CodeCache

BARE = ProvisionJob("", "fn-1", "node", "", 1, 128, 3000, {"BEHAVE": ""}, "", 60_000, "")


@pytest.fixture
def asked(running):
    """Starts an instance as a foreign gateway has it: its record when it's ready."""
    requests = iter(range(100))

    async def ask(**changes):
        seen = set(await instances(running))
        await running.jobs.submit(replace(BARE, request_id=f"foreign-{next(requests)}", **changes))
        await until(running, lambda now: [i for i in now if i not in seen and now[i] == "ready"])
        return next(i for i in await instances(running) if i not in seen)

    return ask


async def instances(running):
    """Status by id."""
    entries = (await running.registry.view()).entries.values()
    return {e.instance_id: e.status for e in entries if hasattr(e, "instance_id")}


async def until(running, holds):
    revision = (await running.registry.view()).revision
    async with asyncio.timeout(10), aclosing(running.registry.watch(revision)) as changes:
        while not holds(await instances(running)):
            await anext(changes)


async def put(running, tmp_path, content, function_id="fn-1"):
    image = tmp_path / "uploaded"
    image.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    await running.store.put(function_id, sha256, image)
    image.unlink()
    return sha256


async def code_of(running, instance_id):
    return (await running.vmm.adopt(instance_id, ignore_log)).spec.code.read_bytes()


@pytest.fixture
def looks_often(monkeypatch):
    monkeypatch.setattr(foreign_code, "LOOK_EVERY_S", 0.05)


async def test_job_without_a_sha256_runs_the_current_code(running, asked, tmp_path):
    assert await code_of(running, await asked()) == b"code"
    await put(running, tmp_path, b"newer")
    assert await code_of(running, await asked()) == b"newer"


async def test_notification_has_its_instances_replaced_at_once(running, asked, tmp_path):
    old = await asked()
    await put(running, tmp_path, b"newer")
    await running.notifications.publish("fn-other")
    await running.notifications.publish("fn-1")
    await until(running, lambda now: old not in now)
    assert await code_of(running, await asked()) == b"newer"


async def test_change_of_settings_alone_has_them_replaced_as_well(running, asked):
    old = await asked()
    await running.notifications.publish("fn-1")
    await until(running, lambda now: old not in now)


async def test_lost_notification_is_caught_up(looks_often, running, asked, tmp_path):
    old = await asked()
    await put(running, tmp_path, b"newer")
    await until(running, lambda now: old not in now)
    assert await code_of(running, await asked()) == b"newer"
    assert foreign_code.LOOK_EVERY_S <= 10


async def test_code_that_was_removed_ends_its_instances(looks_often, running, asked):
    old = await asked()
    await running.store.remove("fn-1")
    await until(running, lambda now: old not in now)


async def test_code_that_is_still_the_same_is_left_alone(running, asked, monkeypatch):
    looks = asyncio.Event()
    look = CodeCache.outdated

    async def looked(cache, function_id):
        found = await look(cache, function_id)
        looks.set()
        return found

    monkeypatch.setattr(CodeCache, "outdated", looked)
    monkeypatch.setattr(foreign_code, "LOOK_EVERY_S", 0.05)
    old = await asked()
    for _ in range(2):
        looks.clear()
        await looks.wait()
    assert await instances(running) == {old: InstanceStatus.READY}


async def test_what_our_own_gateways_update_is_left_to_the_rollout(running, asked, tmp_path):
    """A function whose code no sha256 was known of, before its first upload here."""

    def version(revision, sha256):
        return Version(revision, "node", "", sha256, 1, 128, 3000, {})

    config = FunctionConfig(
        "fn-1", "hello", version(1, ""), Limits(), code_path="function-code/fn-1/code.ext4"
    )
    await running.registry.put_function(config)
    old = await asked(revision=1)
    sha256 = await put(running, tmp_path, b"newer")
    good, newest = version(1, ""), version(2, sha256)
    await running.registry.put_function(replace(config, version=newest, good=good, generation=1))
    await running.notifications.publish("fn-1")
    newer = await asked(revision=2, code_sha256=sha256)
    assert await instances(running) == {old: InstanceStatus.READY, newer: InstanceStatus.READY}
    assert await code_of(running, newer) == b"newer"
