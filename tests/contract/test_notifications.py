"""What every notification channel does: `aether.ports.notifications`."""

import asyncio
from contextlib import aclosing

import pytest

from aether.adapters.memory.notifications import MemoryNotifications
from aether.adapters.redis.clients import RedisClients
from aether.adapters.redis.notifications import RedisNotifications


class NotificationsContract:
    @pytest.fixture
    async def notifications(self):
        raise NotImplementedError

    async def test_every_subscriber_hears_it_in_order(self, notifications):
        async with aclosing(notifications.subscribe()) as one, aclosing(notifications.subscribe()) as two:
            for number in range(3):
                await notifications.publish(f"fn-{number}")
            for subscription in (one, two):
                assert [await anext(subscription) for _ in range(3)] == ["fn-0", "fn-1", "fn-2"]

    async def test_nobody_has_to_listen(self, notifications):
        await notifications.publish("fn-1")

    async def test_there_is_no_history(self, notifications):
        await notifications.publish("fn-early")
        async with aclosing(notifications.subscribe()) as subscription:
            await notifications.publish("fn-late")
            assert await anext(subscription) == "fn-late"

    async def test_waiting_subscriber_hears_it(self, notifications):
        async with aclosing(notifications.subscribe()) as subscription:
            waiting = asyncio.ensure_future(anext(subscription))
            await asyncio.sleep(0)
            await notifications.publish("fn-1")
            assert await waiting == "fn-1"

    async def test_cancelled_wait_loses_nothing(self, notifications):
        async with aclosing(notifications.subscribe()) as subscription:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(subscription)
            await notifications.publish("fn-1")
            assert await anext(subscription) == "fn-1"

    async def test_closed_subscription_ends_and_others_go_on(self, notifications):
        async with aclosing(notifications.subscribe()) as other:
            closed = notifications.subscribe()
            waiting = asyncio.ensure_future(anext(closed, "ended"))
            await asyncio.sleep(0)
            await closed.aclose()
            await closed.aclose()
            assert await waiting == "ended"
            await notifications.publish("fn-1")
            assert await anext(other) == "fn-1"
            assert await anext(closed, "ended") == "ended"


class TestMemoryNotifications(NotificationsContract):
    @pytest.fixture
    async def notifications(self):
        return MemoryNotifications()

    async def test_subscriber_that_never_reads_stays_bounded(self):
        notifications = MemoryNotifications(buffer=2)
        async with aclosing(notifications.subscribe()) as subscription:
            for number in range(5):
                await notifications.publish(f"fn-{number}")
            assert [await anext(subscription), await anext(subscription)] == ["fn-3", "fn-4"]


class TestRedisNotifications(NotificationsContract):
    @pytest.fixture
    async def notifications(self, redis_server):
        async with (
            aclosing(RedisClients.open(redis_server.url)) as clients,
            aclosing(RedisNotifications(clients)) as notifications,
        ):
            yield notifications
