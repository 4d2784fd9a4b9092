"""A backup by the words of docs/cluster.md, and all of it back in empty stores."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

import asyncpg
import pytest
from tests.api import archive
from tests.cluster.cluster import REPOSITORY, Cluster, Plan, running
from tests.postgres import programs
from tests.s3 import program

pytestmark = pytest.mark.asyncio(loop_scope="session")

BACK_UP, RESTORE = re.findall(
    r"```sh\n(pg_(?:dump|restore).+?)```", (REPOSITORY / "docs/cluster.md").read_text(), re.DOTALL
)


async def test_functions_code_and_records_come_back_from_a_backup(able):
    async with running(Plan(gateways=1, workers=1, vmm="simulated")) as cluster:
        await cluster.front_api.deploy("kept", env_vars={"COLOUR": "red"})
        sha256 = await cluster.front_api.upload("kept", archive("// kept"))
        called = {"X-Call-Id": "before-the-loss"}
        assert (await cluster.front_api.http.get("/functions/kept/", headers=called)).is_success
        await _stop(cluster)
        _by_the_page(cluster, BACK_UP)

        await _lose_everything(cluster)
        _by_the_page(cluster, RESTORE)
        await cluster.start_roles()

        answer = await cluster.front_api.http.get("/functions/kept/")
        assert answer.is_success, answer.text
        assert answer.json()["code"] == f"{sha256}.ext4"
        assert answer.json()["env"]["COLOUR"] == "red"
        records = await cluster.front_api.get("/api/functions/kept/invocations")
        assert "before-the-loss" in {record["call_id"] for record in records}


async def _stop(cluster: Cluster) -> None:
    """The roles, and what microVMs a worker leaves for its next start."""
    for process in (*cluster.gateways, *cluster.workers):
        await process.stop()


async def _lose_everything(cluster: Cluster) -> None:
    stores = cluster.stores
    stores.etcd.lose_everything()
    stores.redis.flush()
    stores.s3.lose_everything()
    connection = await asyncpg.connect(stores.postgres.url_of("postgres"))
    try:
        await connection.execute("DROP DATABASE aether")
        await connection.execute("CREATE DATABASE aether")
    finally:
        await connection.close()
    for process in (*cluster.gateways, *cluster.workers):
        folder = cluster.directory / process.name
        shutil.rmtree(folder)
        folder.mkdir()


def _by_the_page(cluster: Cluster, commands: str) -> None:
    """As an operator types it, but for where the backup of the bucket goes."""
    tools = programs()
    assert tools is not None
    stores = cluster.stores
    environment = {
        "PATH": f"{tools}:{program().parent}:{os.environ['PATH']}",
        "HOME": str(cluster.directory),
        "AETHER_DATABASE_URL": stores.postgres.url,
        "RCLONE_CONFIG_S3_TYPE": "s3",
        "RCLONE_CONFIG_S3_PROVIDER": "Other",
        "RCLONE_CONFIG_S3_ENDPOINT": stores.s3.url,
        "RCLONE_CONFIG_S3_ACCESS_KEY_ID": stores.s3.access_key,
        "RCLONE_CONFIG_S3_SECRET_ACCESS_KEY": stores.s3.secret_key,
    }
    commands = commands.replace("/backup", f"{cluster.directory}/backup")
    done = subprocess.run(
        ["sh", "-euc", commands],
        env=environment,
        cwd=cluster.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
