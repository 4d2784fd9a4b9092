import asyncio
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from aether.domain.errors import StoreUnavailable
from aether.domain.gateway import GatewayRecord
from aether.domain.ids import CALL_ID
from aether.domain.worker import Failures
from aether.gateway.api.status_views import StoreHealth
from aether.ports.registry import drain_key

GUARDED = [
    "/api/functions",
    "/api/functions/x",
    "/api/workers",
    "/api/status",
    "/api/runtimes",
    "/api",
    "/api/zzz",
]
OPEN = ["/healthz", "/readyz", "/docs", "/openapi.json"]


@pytest.mark.parametrize("path", GUARDED)
async def test_call_without_key_is_401_and_with_a_wrong_one_403(platform, path):
    async with platform.client(key=None) as api:
        for headers in ({}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}):
            response = await api.get(path, headers=headers)
            assert response.status_code == 401
            assert response.json()["error"]["code"] == "unauthenticated"
            assert response.headers["www-authenticate"] == "Bearer"
        response = await api.get(path, headers={"Authorization": "Bearer key-of-the-test"})
        assert response.status_code == 403
        assert response.json()["error"]["code"] == "forbidden"
        response = await api.get(path, headers={"Authorization": b"Bearer \xff\xe9"})
        assert response.status_code == 403


@pytest.mark.parametrize("path", OPEN)
async def test_open_paths_need_no_key(platform, path):
    async with platform.client(key=None) as api:
        assert (await api.get(path)).status_code == 200


async def test_api_can_be_open_by_decision(platform):
    async with platform.client(key=None, api_keys=None) as api:
        assert (await api.get("/api/functions")).json() == []
        assert (await api.get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    ("forwarded", "status"),
    [
        ("127.0.0.1", 200),
        ("::1", 200),
        ("127.0.0.1, ::1", 200),
        ("203.0.113.9, 127.0.0.1", 401),
        ("127.0.0.1, 203.0.113.9", 401),
        ("203.0.113.9", 401),
        ("", 401),
        ("localhost", 401),
    ],
)
async def test_metrics_are_open_on_loopback_only(platform, forwarded, status):
    async with platform.client(key=None) as api:
        response = await api.get("/metrics", headers={"X-Forwarded-For": forwarded})
        assert response.status_code == status
    async with platform.client() as api:
        response = await api.get("/metrics", headers={"X-Forwarded-For": forwarded})
        assert response.status_code == 200
        assert "aether_requests_total 0.0" in response.text


async def test_not_ready_says_why(platform):
    async with platform.client(key=None, not_ready=lambda: "it is draining") as api:
        response = await api.get("/readyz")
        assert response.status_code == 503
        assert response.json()["error"]["message"] == "it is draining"
        assert (await api.get("/healthz")).status_code == 200


async def test_call_id_is_echoed_or_made(api):
    given = await api.get("/api/zzz", headers={"X-Call-Id": "call-from-edge"})
    assert given.headers["x-call-id"] == "call-from-edge"
    assert given.json()["error"]["call_id"] == "call-from-edge"
    made = await api.get("/healthz", headers={"X-Call-Id": "not sane"})
    assert CALL_ID.fullmatch(made.headers["x-call-id"])


async def test_unknown_path_and_method_have_the_error_form(api):
    missing = await api.get("/nowhere")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"
    wrong = await api.patch("/api/functions/hello")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "DELETE, GET, PUT"
    assert wrong.json()["error"]["code"] == "method_not_allowed"


async def test_own_mistake_is_500_with_the_call_id(platform, api, monkeypatch):
    async def broken():
        raise RuntimeError("a secret of the inside")

    monkeypatch.setattr(platform.deps.registry, "view", broken)
    with capture_logs() as logs:
        response = await api.get("/api/workers")
    assert response.status_code == 500
    error = response.json()["error"]
    assert error["code"] == "internal"
    assert error["call_id"] == response.headers["x-call-id"]
    assert "secret" not in response.text
    [logged] = [entry for entry in logs if entry["event"] == "management_call_failed"]
    assert logged["exc_info"]


async def test_workers_and_status(platform, api, make, worker, instance):
    function_id = (await make())["id"]
    lease = await platform.deps.registry.lease("wrk-1")
    failures = Failures(2, 3, 1.5, "exited: exit code 1", "[stderr] no such key")
    await lease.put_worker(replace(worker, failures={function_id: failures}))
    await lease.put_instance(instance(function_id))
    (found,) = (await api.get("/api/workers")).json()
    assert (found["id"], found["free_slots"], found["runtimes"]) == ("wrk-1", 3, ["node"])
    assert (found["instances"], found["starting"]) == (1, 1)
    assert found["failures"] == {function_id: asdict(failures)}
    told = ("short_of", "instance_overhead", "max_instances", "limits")
    assert [found[name] for name in told] == [5, 7, 9, "cgroup v2"]
    status = (await api.get("/api/status")).json()
    assert status == {
        "version": "0.1.0", "functions": 1, "instances": 1, "workers": 1, "vmm": "simulated", "accel": "none",
        "total_mem": 1 << 30, "free_mem": 1 << 29, "limits": "cgroup v2", "draining": 0,
        "gateways": [], "controller": None, "unreachable": [], "stores": [], "stale": False,
    }  # fmt: skip
    await lease.close()


async def test_workers_show_which_gateways_cannot_reach_them(platform, api, worker):
    workers, gateways = await platform.deps.registry.lease("wrk-1"), await platform.deps.registry.lease("gw")
    await workers.put_worker(worker)
    at = worker.last_heartbeat
    for name, unreachable in (("gw-1", {"wrk-1": "10.0.0.5:9090: refused"}), ("gw-2", {"wrk-2": "no"})):
        await gateways.put_gateway(GatewayRecord(name, "host", "1", at, unreachable=unreachable))
    (found,) = (await api.get("/api/workers")).json()
    assert found["unreachable"] == {"gw-1": "10.0.0.5:9090: refused"}
    await workers.close()
    await gateways.close()


async def test_drain_is_asked_for_or_is_404(platform, api, worker):
    lease = await platform.deps.registry.lease("wrk-1")
    await lease.put_worker(worker)
    begun = await api.post("/api/workers/wrk-1/drain")
    assert begun.status_code == 202
    wish = (await platform.deps.registry.view()).entries[drain_key("wrk-1")]
    assert wish.worker_id == "wrk-1"
    await lease.close()
    unknown = await api.post("/api/workers/wrk-2/drain")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "not_found"


async def test_runtimes(api):
    found = (await api.get("/api/runtimes")).json()
    assert [(runtime["name"], runtime["default_entrypoint"]) for runtime in found] == [
        ("node", "handler.js"),
        ("python", "handler.py"),
    ]


async def test_docs_page_needs_nothing_from_elsewhere(api):
    response = await api.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", response.text)
    assert "<script" not in response.text
    document = (await api.get("/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"<h3>{method.upper()} {path}</h3>" in response.text


async def test_status_tells_of_gateways_and_stores(platform):
    record = GatewayRecord(
        "gw-1",
        "host",
        "0.1.0",
        datetime.now(UTC),
        address="127.0.0.1:8080",
        leads=True,
        waiting={"fn-1": 2, "fn-2": 1},
        starting={"fn-1": {3: 1, 4: 2}},
        missing_room={"fn-1": 1},
        unreachable={"wrk-9": "no answer"},
    )
    stores = [StoreHealth("etcd", "http://etcd:2379", ok=True, took_ms=1.5)]

    async def look():
        return [*stores, StoreHealth("Redis", "redis://ada:****@redis", ok=False, reason="refused")]

    lease = await platform.deps.registry.lease("gw-1")
    await lease.put_gateway(record)
    async with platform.client(look_at_stores=look) as api:
        status = (await api.get("/api/status")).json()
    [gateway] = status["gateways"]
    assert status["controller"] == "gw-1"
    assert status["unreachable"] == ["wrk-9"]
    assert [gateway[name] for name in ("waiting", "starting", "missing_room")] == [3, 3, 1]
    assert [(s["name"], s["ok"], s["reason"]) for s in status["stores"]] == [
        ("etcd", True, ""),
        ("Redis", False, "refused"),
    ]
    await lease.close()


@pytest.mark.parametrize("silent", [False, True])
async def test_status_is_told_while_the_registry_is_away(platform, monkeypatch, worker, silent):
    async def away():
        if silent:
            await asyncio.Event().wait()
        raise StoreUnavailable("no etcd")

    monkeypatch.setattr(platform.deps.registry, "view", away)
    monkeypatch.setattr("aether.gateway.api.status._TELLS_WITHIN_S", 0.05)
    async with platform.client(last_known=lambda: [worker]) as api:
        status = (await api.get("/api/status")).json()
    assert (status["workers"], status["stale"]) == (1, True)
