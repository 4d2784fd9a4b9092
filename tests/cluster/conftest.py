"""Clusters for the tests in this folder: one over simulated instances, and one that runs real microVMs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.cluster.able import why_not
from tests.cluster.cluster import Cluster, Plan, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/cluster/" in str(item.path):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def able() -> None:
    """What the machine has to have, or the reason why nothing here can run."""
    if reason := why_not("make test-cluster"):
        pytest.skip(reason)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster(able) -> AsyncIterator[Cluster]:
    """Two gateways, three workers; instances are simulated, and functions behave as they are told."""
    async with running(Plan(vmm="simulated")) as it:
        yield it


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real(able) -> AsyncIterator[Cluster]:
    """The same over microVMs, each gateway as two processes on one port."""
    async with running(Plan(settings={"AETHER_PROCESSES": "2"})) as it:
        yield it
