"""The management API of a running platform, as tests that drive one use it."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

LOOK_EVERY_S = 0.05
MAX_PAGE = 1000
RECORDED_WITHIN_S = 1.5
"""Records of calls are written in batches."""


class Api:
    """One gateway's. Calls raise AssertionError with the answer when it isn't the expected one."""

    http: httpx.AsyncClient

    def __init__(self, url: str, key: str) -> None:
        self.connect(url, key)

    def connect(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.AsyncClient(base_url=url, headers=headers, timeout=90, trust_env=False)

    async def deploy(self, name: str, code: bytes | None = None, behave: Any = None, **fields: Any) -> str:
        """Make a function; its id. `behave` is for simulated instances: `Behaviour`'s fields."""
        if behave is not None:
            fields["env_vars"] = {"BEHAVE": json.dumps(behave)}
        made = await self.http.post("/api/functions", json={"name": name, "runtime": "node", **fields})
        assert made.status_code == 201, made.text
        await self.upload(name, code)
        return str(made.json()["id"])

    async def upload(self, name: str, code: bytes | None = None) -> str:
        """Give the function code; the image's sha256."""
        answer = await self.http.post(
            f"/api/functions/{name}/code", content=code or archive(), headers={"X-Filename": "code.tar.gz"}
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["sha256"])

    async def update(self, name: str, **fields: Any) -> None:
        answer = await self.http.put(f"/api/functions/{name}", json=fields)
        assert answer.status_code == 200, answer.text

    async def get(self, path: str) -> Any:
        answer = await self.http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def instances(self, name: str) -> list[dict[str, Any]]:
        return await self.get(f"/api/functions/{name}/instances")

    async def printed(self, name: str) -> list[str]:
        """Tokens of the requests that a function of `code.echo` printed, as far as its logs are kept."""
        lines = await self.get(f"/api/functions/{name}/logs?limit={MAX_PAGE}")
        paths = (line["text"].partition(" /") for line in lines if line["stream"] == "stdout")
        return [rest.partition("?")[0] for method, _, rest in paths if method in {"GET", "POST"}]

    async def errors_recorded(self, name: str) -> dict[str, str]:
        """Reasons of failed calls, by call id; the newest thousand."""
        await asyncio.sleep(RECORDED_WITHIN_S)
        calls = await self.get(f"/api/functions/{name}/invocations?limit={MAX_PAGE}")
        return {call["call_id"]: call["error_message"] for call in calls if call["error_message"]}

    async def until(self, condition: Callable[[], Awaitable[object]], within_s: float, what: str) -> float:
        """Look until it is so; the seconds it took."""
        return await until(condition, within_s, what)


async def until(condition: Callable[[], Awaitable[object]], within_s: float, what: str) -> float:
    """The world outside has no events for us: look until it is so; the seconds it took."""
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(within_s):
            while not await condition():
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise AssertionError(f"it did not come about within {within_s} s: {what}") from None
    return time.monotonic() - began_s


def archive(text: str = "// code") -> bytes:
    """A tar.gz with `handler.js`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        info = tarfile.TarInfo("handler.js")
        info.size = len(text.encode())
        tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()
