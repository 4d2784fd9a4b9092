import asyncio
from contextlib import aclosing
from datetime import datetime

import pytest

from aether.domain.errors import StoreUnavailable
from aether.ports.registry import config_key


async def config_of(platform, function_id):
    return (await platform.deps.registry.view()).entries.get(config_key(function_id))


async def test_function_has_contract_shape_and_defaults(api):
    response = await api.post("/api/functions", json={"name": "hello", "runtime": "node"})
    assert response.status_code == 201
    made = response.json()
    assert made["id"].startswith("fn-")
    assert response.headers["location"] == f"/api/functions/{made['id']}"
    expected = {
        "name": "hello", "runtime": "node", "entrypoint": "handler.js", "code_path": "", "vcpu": 1,
        "memory_mb": 128, "port": 3000, "env_vars": {}, "timeout_s": 30, "idle_timeout_s": 60,
        "max_stream_s": 3600, "max_concurrency": 16, "target_concurrency": 3, "min_instances": 0,
        "max_instances": 20, "max_waiting": 1000, "instance_idle_timeout_s": 30,
        "scale_to_zero_after_s": 300, "revision": 1, "code_sha256": "",
    }  # fmt: skip
    assert made | expected == made
    assert datetime.fromisoformat(made["created_at"]).utcoffset().total_seconds() == 0
    assert made["created_at"].endswith("Z")
    assert (await api.get("/api/functions/hello")).json() == made
    assert (await api.get(f"/api/functions/{made['id']}")).json() == made


async def test_runtime_brings_its_own_entrypoint(make):
    assert (await make("py", runtime="python"))["entrypoint"] == "handler.py"
    assert (await make("ts", entrypoint="./dist/main.js"))["entrypoint"] == "dist/main.js"


async def test_name_can_be_had_once(api, make):
    await make("hello")
    response = await api.post("/api/functions", json={"name": "hello", "runtime": "node"})
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "name_taken"
    await make("other")
    response = await api.put("/api/functions/other", json={"name": "hello"})
    assert response.status_code == 409


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "Hello", "a-z"),
        ("name", "fn-mine", "fn-"),
        ("name", "a" * 64, "63"),
        ("runtime", "cobol", "must be one of: node, python"),
        ("vcpu", 17, "less than or equal to 16"),
        ("vcpu", "2", "valid integer"),
        ("vcpu", True, "valid integer"),
        ("vcpu", None, "valid integer"),
        ("memory_mb", 63, "greater than or equal to 64"),
        ("port", 0, "greater than or equal to 1"),
        ("timeout_s", 901, "900"),
        ("timeout_s", 0, "greater than 0"),
        ("target_concurrency", 17, "max_concurrency, 16"),
        ("min_instances", 21, "max_instances, 20"),
        ("entrypoint", "/etc/passwd", "inside the archive"),
        ("entrypoint", "a/../../b", "inside the archive"),
        ("entrypoint", "", "inside the archive"),
        ("env_vars", {"PORT": "1"}, "set by the platform"),
        ("env_vars", {"AETHER_KEY": "1"}, "set by the platform"),
        ("env_vars", {"1A": "x"}, "no name"),
        ("env_vars", {"A": "a\0b"}, "NUL"),
        ("env_vars", {"A": "x" * 33_000}, "32768 bytes"),
        ("memory", 256, "did you mean memory_mb?"),
        ("colour", "red", "is no field"),
    ],
)
async def test_wrong_field_is_named(api, make, field, value, says):
    await make("there")
    for response in (
        await api.post("/api/functions", json={"name": "hello", "runtime": "node", field: value}),
        await api.put("/api/functions/there", json={field: value}),
    ):
        error = response.json()["error"]
        assert response.status_code == 400, error
        assert (error["code"], error["component"]) == ("invalid", "gateway")
        assert says in error["fields"][field]
        assert error["call_id"] == response.headers["x-call-id"]
    assert [function["name"] for function in (await api.get("/api/functions")).json()] == ["there"]


async def test_env_value_that_is_no_text_is_named(api):
    body = {"name": "a", "runtime": "node", "env_vars": {"N": 1}}
    response = await api.post("/api/functions", json=body)
    assert response.json()["error"]["fields"] == {"env_vars.N": "should be a valid string"}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'"x"', b"\xff\xfe{", b"[" * 100_000, b'{"vcpu": 1' + b"0" * 5000 + b"}"]
)
async def test_broken_json_is_a_clear_400(api, content):
    headers = {"Content-Type": "application/json"}
    response = await api.post("/api/functions", content=content, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid"


async def test_missing_fields_are_named(api):
    response = await api.post("/api/functions", json={})
    assert response.json()["error"]["fields"] == {"name": "is missing", "runtime": "is missing"}


async def test_huge_json_is_refused_before_it_is_read(api):
    async def body():
        yield b'{"name": "'
        for _ in range(40):
            yield b"x" * 65536

    headers = {"Content-Type": "application/json"}
    chunked = await api.post("/api/functions", content=body(), headers=headers)
    declared = await api.post("/api/functions", content=b" " * (2 << 20), headers=headers)
    for response in (chunked, declared):
        assert response.status_code == 413
        assert response.json()["error"]["code"] == "too_large"


async def test_update_leaves_absent_fields(api, make):
    made = await make("hello", memory_mb=256, env_vars={"A": "1"})
    changed = (await api.put("/api/functions/hello", json={"vcpu": 2})).json()
    assert changed == made | {
        "vcpu": 2,
        "revision": 2,
        "updated_at": changed["updated_at"],
        "rollout": made["rollout"] | {"revision": 2},
    }
    assert changed["updated_at"] > made["updated_at"]
    assert (await api.put("/api/functions/hello", json={})).json() == changed


async def test_lower_hard_limit_takes_the_target_along(api, make):
    await make("hello")
    changed = (await api.put("/api/functions/hello", json={"max_concurrency": 1})).json()
    assert (changed["max_concurrency"], changed["target_concurrency"]) == (1, 1)


async def test_only_what_instances_run_makes_a_revision_and_is_told(platform, api, make):
    function_id = (await make("hello"))["id"]
    async with aclosing(platform.deps.notifications.subscribe()) as told:
        await api.put("/api/functions/hello", json={"timeout_s": 5, "name": "renamed"})
        assert (await config_of(platform, function_id)).version.revision == 1
        assert (await config_of(platform, function_id)).limits.timeout_s == 5
        assert (await config_of(platform, function_id)).name == "renamed"
        await api.put("/api/functions/renamed", json={"env_vars": {"A": "2"}})
        assert await anext(told) == function_id
        assert (await config_of(platform, function_id)).version.revision == 2
        await api.put("/api/functions/renamed", json={"vcpu": 3})
        # Had the first change been told, this would be the answer to the second.
        assert await anext(told) == function_id
        assert (await config_of(platform, function_id)).version.revision == 3


async def test_updates_at_once_are_all_kept(platform, api, make):
    function_id = (await make("hello"))["id"]
    bodies = [{"vcpu": 2}, {"memory_mb": 512}, {"port": 8080}, {"timeout_s": 9}, {"env_vars": {"A": "1"}}]
    async with platform.client() as other_gateway:
        clients = [api, other_gateway, api, api, other_gateway]
        calls = [c.put("/api/functions/hello", json=b) for c, b in zip(clients, bodies, strict=True)]
        assert {response.status_code for response in await asyncio.gather(*calls)} == {200}
    end = (await api.get("/api/functions/hello")).json()
    assert (end["vcpu"], end["memory_mb"], end["port"], end["env_vars"]) == (2, 512, 8080, {"A": "1"})
    assert end["revision"] == 5
    stored = await platform.deps.functions.get(function_id)
    assert await config_of(platform, function_id) == stored.to_config()


async def test_registry_away_leaves_no_half_function(platform, api, monkeypatch):
    with monkeypatch.context() as away:

        async def fail(_config):
            raise StoreUnavailable("the registry is away")

        away.setattr(platform.deps.registry, "put_function", fail)
        response = await api.post("/api/functions", json={"name": "hello", "runtime": "node"})
        assert response.status_code == 503
        assert response.headers["retry-after"] == "1"
        assert response.json()["error"]["code"] == "store_unavailable"
    response = await api.post("/api/functions", json={"name": "hello", "runtime": "node"})
    assert response.status_code == 201


async def test_update_repeated_after_registry_outage_reaches_it(platform, api, make, monkeypatch):
    function_id = (await make("hello"))["id"]
    with monkeypatch.context() as away:

        async def fail(_config):
            raise StoreUnavailable("the registry is away")

        away.setattr(platform.deps.registry, "put_function", fail)
        assert (await api.put("/api/functions/hello", json={"vcpu": 2})).status_code == 503
    assert (await config_of(platform, function_id)).version.vcpu == 1
    async with aclosing(platform.deps.notifications.subscribe()) as told:
        assert (await api.put("/api/functions/hello", json={"vcpu": 2})).status_code == 200
        assert await anext(told) == function_id
    assert (await config_of(platform, function_id)).version.vcpu == 2


async def test_delete_removes_all_of_it(platform, api, make, zipped):
    function_id = (await make("hello"))["id"]
    await api.post("/api/functions/hello/code", content=zipped({"handler.js": "x"}))
    bucket = platform.deps.work_dir.parent / "function-code"
    assert [path for path in bucket.rglob("*") if path.is_file()]
    async with aclosing(platform.deps.notifications.subscribe()) as told:
        response = await api.delete("/api/functions/hello")
        assert (response.status_code, response.content) == (204, b"")
        assert await anext(told) == function_id
    assert await config_of(platform, function_id) is None
    assert [path for path in bucket.rglob("*") if path.is_file()] == []
    assert (await api.get("/api/functions/hello")).status_code == 404
    assert (await api.delete("/api/functions/hello")).status_code == 404


async def test_list_comes_in_pages(api, make):
    names = [f"f-{number}" for number in range(7)]
    for name in names:
        await make(name)
    url, seen, sizes = "/api/functions?limit=3", [], []
    while url:
        response = await api.get(url)
        seen += [function["name"] for function in response.json()]
        sizes.append(len(response.json()))
        url = response.links.get("next", {}).get("url")
    assert (seen, sizes) == (names, [3, 3, 1])
    assert "link" not in (await api.get("/api/functions")).headers


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=%20", "cursor=fn-gone"])
async def test_wrong_page_is_named(api, query):
    response = await api.get(f"/api/functions?{query}")
    assert response.status_code == 400
    assert query.partition("=")[0] in response.json()["error"]["fields"]


@pytest.mark.parametrize("name", ["nobody", "%00", "%F0%9F", "a" * 300, "%0A", "%2e%2e"])
async def test_unknown_function_is_404_everywhere(api, name, zipped):
    calls = [
        api.get(f"/api/functions/{name}"),
        api.put(f"/api/functions/{name}", json={"vcpu": 2}),
        api.delete(f"/api/functions/{name}"),
        api.post(f"/api/functions/{name}/code", content=zipped({"handler.js": ""})),
        api.get(f"/api/functions/{name}/invocations"),
        api.get(f"/api/functions/{name}/instances"),
        api.get(f"/api/functions/{name}/logs"),
    ]
    for call in calls:
        response = await call
        assert response.status_code == 404, response.request.url
        assert response.json()["error"]["code"] == "function_not_found"
