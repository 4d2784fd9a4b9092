"""The management API as Python calls, over one HTTP connection.

Every method raises ApiRefused for an error of the platform and Unreachable when nothing there
speaks the API.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Self, cast
from urllib.parse import quote, urlsplit

import httpx

from aether import __version__
from aether.cli import shapes
from aether.cli.connection import is_loopback
from aether.cli.events import events
from aether.cli.failures import WrongUsage
from aether.cli.reaching import not_aether, reaching, trusted
from aether.cli.refusal import refusal

PAGE = 200
"""Rows asked for at once where a whole list is wanted."""

FILENAME_CHARACTERS = 100
"""As many as the API takes for a name in its messages."""

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 600.0
"""An upload is answered when its code image is built."""


class Client:
    """Use as a context manager; `name` is always a function's name or id."""

    def __init__(self, url: str, key: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise WrongUsage(
                f"{url!r} is not an http or https URL.", hint="For example --url http://127.0.0.1:8080"
            )
        self.url = url.rstrip("/")
        headers = {"user-agent": f"aether/{__version__}"}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        self._http = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # A proxy from the environment has no way to this machine's loopback.
            trust_env=not is_loopback(url),
            verify=trusted(url),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def functions(self) -> list[shapes.FunctionJson]:
        return list(self._pages("/api/functions"))

    def function(self, name: str) -> shapes.FunctionJson:
        return cast(shapes.FunctionJson, self._json("GET", _function(name)))

    def create(self, spec: Mapping[str, Any]) -> shapes.FunctionJson:
        return cast(shapes.FunctionJson, self._json("POST", "/api/functions", json=spec))

    def update(self, name: str, changes: Mapping[str, Any]) -> shapes.FunctionJson:
        """Fields that `changes` doesn't have stay as they are."""
        return cast(shapes.FunctionJson, self._json("PUT", _function(name), json=changes))

    def delete(self, name: str) -> None:
        self._json("DELETE", _function(name))

    def upload(
        self, name: str, archive: Iterable[bytes], *, filename: str, size_bytes: int
    ) -> shapes.CodeJson:
        """Replace the code by a zip or tar.gz; the code in use stays when it's refused."""
        headers = {
            "x-filename": re.sub(r"[^A-Za-z0-9._-]", "_", filename)[-FILENAME_CHARACTERS:],
            "content-length": str(size_bytes),
            "content-type": "application/octet-stream",
        }
        timeout = httpx.Timeout(UPLOAD_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        path = f"{_function(name)}/code"
        answer = self._json("POST", path, content=archive, headers=headers, timeout=timeout)
        return cast(shapes.CodeJson, answer)

    def start(self, name: str) -> shapes.FunctionJson:
        """Ask for an instance of the newest version; how that goes is in the function's `rollout`."""
        return cast(shapes.FunctionJson, self._json("POST", f"{_function(name)}/start"))

    def invocations(self, name: str, limit: int) -> list[shapes.InvocationJson]:
        """The newest `limit`, newest first."""
        answer = self._json("GET", f"{_function(name)}/invocations", params={"limit": limit})
        return cast(list[shapes.InvocationJson], answer)

    def instances(self, name: str) -> list[shapes.InstanceJson]:
        return cast(list[shapes.InstanceJson], self._json("GET", f"{_function(name)}/instances"))

    def logs(
        self, name: str, *, limit: int, since: str | None = None, call_id: str | None = None
    ) -> list[shapes.LogJson]:
        """The newest `limit` lines that match, oldest first; `since` is an RFC 3339 time."""
        given = {"limit": limit, "since": since, "call_id": call_id}
        params = {key: value for key, value in given.items() if value is not None}
        return cast(list[shapes.LogJson], self._json("GET", f"{_function(name)}/logs", params=params))

    def follow_logs(
        self, name: str, *, limit: int, since: str | None = None, call_id: str | None = None
    ) -> Iterator[shapes.LogJson]:
        """The same lines, then new ones as they come, until the platform ends the stream."""
        given = {"follow": "true", "limit": limit, "since": since, "call_id": call_id}
        params = {key: value for key, value in given.items() if value is not None}
        timeout = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S)
        with self.stream("GET", f"{_function(name)}/logs", params=params, timeout=timeout) as answer:
            if answer.is_error:
                raise refusal(answer)
            for event in events(answer.iter_lines()):
                yield cast(shapes.LogJson, json.loads(event))

    def workers(self) -> list[shapes.WorkerJson]:
        return cast(list[shapes.WorkerJson], self._json("GET", "/api/workers"))

    def drain_worker(self, worker_id: str) -> None:
        """Answered when it is asked to; what runs there ends in its own time."""
        self._json("POST", f"/api/workers/{quote(worker_id, safe='')}/drain")

    def runtimes(self) -> list[shapes.RuntimeJson]:
        return cast(list[shapes.RuntimeJson], self._json("GET", "/api/runtimes"))

    def status(self) -> shapes.StatusJson:
        return cast(shapes.StatusJson, self._json("GET", "/api/status"))

    def call_url(self, name: str, path: str = "/") -> str:
        """Where a function is called; `path` may have a query."""
        return f"{self.url}/functions/{quote(name, safe='')}/{path.removeprefix('/')}"

    @contextmanager
    def call(
        self,
        method: str,
        path: str,
        *,
        headers: list[tuple[str, str]],
        content: bytes | Iterable[bytes] | None,
    ) -> Iterator[httpx.Response]:
        """One invocation, as raw bytes. The API key stays here: functions are strangers to it."""
        request = httpx.Request(method, self.url + path, headers=headers, content=content)
        request.headers.setdefault("accept", "*/*")
        request.headers.setdefault("user-agent", self._http.headers["user-agent"])
        request.extensions["timeout"] = httpx.Timeout(None, connect=CONNECT_TIMEOUT_S).as_dict()
        with reaching(self.url), closing(self._http.send(request, stream=True)) as answer:
            yield answer

    @contextmanager
    def stream(self, method: str, path: str, **request: Any) -> Iterator[httpx.Response]:
        """One answer, read piece by piece; `path` below the platform's URL. Errors are not raised."""
        with reaching(self.url), self._http.stream(method, self.url + path, **request) as answer:
            yield answer

    def _pages(self, path: str) -> Iterator[Any]:
        answer = self._send("GET", self.url + path, params={"limit": PAGE})
        yield from answer.json()
        while (following := answer.links.get("next", {}).get("url")) is not None:
            # Only its query: what the platform thinks its own address is may not be ours for it.
            answer = self._send("GET", f"{self.url}{path}?{urlsplit(following).query}")
            yield from answer.json()

    def _json(self, method: str, path: str, **request: Any) -> Any:
        answer = self._send(method, self.url + path, **request)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise not_aether(self.url, "it sent no JSON") from None

    def _send(self, method: str, url: str, **request: Any) -> httpx.Response:
        with reaching(self.url):
            answer = self._http.request(method, url, **request)
        if answer.is_error:
            raise refusal(answer)
        return answer


def _function(name: str) -> str:
    return f"/api/functions/{quote(name, safe='')}"
