"""Code that a gateway by another hand puts into a real S3 store, and changes there."""

from __future__ import annotations

import json
from uuid import uuid4

import pytest
from tests.integration.foreign.plain import QUEUE, bare_job
from tests.integration.foreign.test_foreign_gateway import call, instances

from aether.adapters.objects.s3 import open_code_store
from aether.ports.vmm import ignore_log
from aether.worker import foreign_code

CODE_UPDATE = "channel:code_update"


@pytest.fixture
async def bucket(ours, s3_server):
    """As plain as any client has it."""
    ours.code_store = await open_code_store(s3_server.account())
    objects = ours.code_store._bucket._store
    yield objects
    await ours.code_store.remove("fn-seed")


async def started(ours, besides: str = "") -> tuple[dict, bytes]:
    """The instance that a bare job gets, and the code that it runs."""
    await ours.redis.lpush(QUEUE, json.dumps(bare_job("fn-seed", request_id=f"req-{uuid4()}")))

    async def there():
        found = await ours.etcd.under("/functions/fn-seed/instances/")
        return [each for each in found if each["instance_id"] != besides]

    [found] = await ours.until(there)
    await call(found)
    machine = await ours.workers["wrk-ours"]._host.vmm.adopt(found["instance_id"], ignore_log)
    return found, machine.spec.code.read_bytes()


async def test_code_with_no_sha256_runs_and_its_successor_after_a_notification(ours, bucket):
    await bucket.put_async("fn-seed/code.ext4", b"one")
    await ours.worker()
    found, code = await started(ours)
    assert code == b"one"
    await bucket.put_async("fn-seed/code.ext4", b"two")
    await ours.redis.publish(CODE_UPDATE, "fn-seed")
    await instances(ours, "fn-seed", 0)
    assert (await started(ours, found["instance_id"]))[1] == b"two"


async def test_worker_notices_new_code_whose_notification_was_lost(ours, bucket, monkeypatch):
    monkeypatch.setattr(foreign_code, "LOOK_EVERY_S", 0.2)
    await bucket.put_async("fn-seed/code.ext4", b"one")
    await ours.worker()
    found, _ = await started(ours)
    await bucket.put_async("fn-seed/code.ext4", b"two")
    await instances(ours, "fn-seed", 0)
    assert (await started(ours, found["instance_id"]))[1] == b"two"


async def test_new_code_is_run_by_the_next_start_before_anybody_noticed(ours, bucket):
    await bucket.put_async("fn-seed/code.ext4", b"one")
    await ours.worker()
    found, _ = await started(ours)
    await bucket.put_async("fn-seed/code.ext4", b"two")
    assert (await started(ours, found["instance_id"]))[1] == b"two"
