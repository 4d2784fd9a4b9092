"""What roles are put together of."""

from datetime import UTC, datetime

import pytest

from aether.cli.roles.machines import load_machines
from aether.cli.roles.runtimes import SeenRuntimes
from aether.cli.settings import InvalidSettings, load_settings
from aether.cli.stores.needed import require
from aether.domain.worker import Worker


def a_worker(*runtimes):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Worker("wrk-1", "host", "10.0.0.1", 4, 1 << 30, "0.1", now, 1 << 30, 9, runtimes=runtimes)


def test_runtimes_are_those_that_workers_have_and_ours():
    workers = {}
    seen = SeenRuntimes(workers)
    assert list(seen) == ["node"]
    assert seen["node"].default_entrypoint == "handler.js"
    workers["wrk-1"] = a_worker("node", "deno")
    assert list(seen) == ["deno", "node"]
    assert seen["deno"].name == "deno"
    workers.clear()
    assert "deno" not in seen
    assert len(seen) == 1


def test_simulated_machines_say_that_nobodys_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    machines = load_machines(load_settings(vmm="simulated"), embedded=True)
    assert machines.vmm.name == "simulated"
    assert "NOBODY'S CODE RUNS HERE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("role", "missing"),
    [
        ("controller", {"ETCD_ENDPOINTS", "REDIS_ADDR"}),
        ("worker", {"ETCD_ENDPOINTS", "REDIS_ADDR", "MINIO_ENDPOINT"}),
        ("gateway", {"ETCD_ENDPOINTS", "REDIS_ADDR", "MINIO_ENDPOINT"}),
    ],
)
def test_each_role_says_which_settings_it_lacks(tmp_path, monkeypatch, role, missing):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidSettings) as raised:
        require(load_settings(), role)
    assert set(raised.value.fields) == missing
    assert raised.value.message.startswith(f"A {role} needs")
