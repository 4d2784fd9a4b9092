"""What making, changing and removing a function means beyond its row.

The row comes first, as the truth; then the registry's copy, which requests are routed by; then
the word to workers. When the registry is away after the row was written, the caller hears
`store_unavailable`, and the same call again finishes the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakValueDictionary

import structlog

from aether.domain.errors import AetherError, FunctionNotFound, InvalidRequest
from aether.domain.function import Function, Limits, Version, changed
from aether.domain.ids import new_id
from aether.gateway.api.limits import limits_with
from aether.gateway.repair import bring
from aether.images.code_image import CodeImage
from aether.ports.clock import Clock
from aether.ports.code_store import CodeStore
from aether.ports.function_logs import FunctionLogs
from aether.ports.function_store import FunctionStore
from aether.ports.notifications import Notifications
from aether.ports.registry import Registry
from aether.ports.vmm import Runtime

_log = structlog.get_logger(__name__)
VERSION_FIELDS = ("runtime", "entrypoint", "vcpu", "memory_mb", "port", "env_vars")


class Stores(Protocol):
    """What a change touches."""

    @property
    def functions(self) -> FunctionStore: ...
    @property
    def code(self) -> CodeStore: ...
    @property
    def logs(self) -> FunctionLogs: ...
    @property
    def registry(self) -> Registry: ...
    @property
    def notifications(self) -> Notifications: ...
    @property
    def clock(self) -> Clock: ...


class FunctionChanges:
    """Changes of one function take turns here; between gateways, generations are compared and set."""

    def __init__(self, stores: Stores, runtimes: Mapping[str, Runtime]) -> None:
        self._stores = stores
        self._runtimes = runtimes
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def create(self, given: Mapping[str, Any]) -> Function:
        """Raises InvalidRequest, NameTaken."""
        runtime = self._runtime(given["runtime"])
        now = self._stores.clock.now()
        version = Version(
            revision=1,
            runtime=runtime.name,
            entrypoint=given.get("entrypoint", runtime.default_entrypoint),
            code_sha256="",
            vcpu=given.get("vcpu", 1),
            memory_mb=given.get("memory_mb", 128),
            port=given.get("port", 3000),
            env_vars=given.get("env_vars", {}),
        )
        function = Function(
            id=new_id("fn"),
            name=given["name"],
            version=version,
            code_path="",
            created_at=now,
            updated_at=now,
            limits=limits_with(Limits(), given),
            domains=tuple(given.get("domains", ())),
        )
        await self._stores.functions.create(function)
        try:
            await self._stores.registry.put_function(function.to_config())
        except AetherError:
            # A new try would find the name taken: as if it had not been.
            await self._stores.functions.delete(function.id)
            raise
        return function

    async def update(self, id_or_name: str, given: Mapping[str, Any]) -> Function:
        """Raises FunctionNotFound, InvalidRequest, NameTaken."""
        if "runtime" in given:
            self._runtime(given["runtime"])
        wanted_version = {name: given[name] for name in VERSION_FIELDS if name in given}

        def apply(current: Function) -> Function:
            return replace(
                current,
                name=given.get("name", current.name),
                version=changed(current.version, **wanted_version),
                limits=limits_with(current.limits, given),
                domains=tuple(given.get("domains", current.domains)),
            )

        function = await self._stores.functions.get(id_or_name)
        async with self._turn(function.id):
            return await self._rewrite(function.id, apply)

    async def put_code(self, function_id: str, image: CodeImage, archive_sha256: str) -> Function:
        """Make an image the function's code. Raises FunctionNotFound when it went meanwhile."""
        code = self._stores.code
        async with self._turn(function_id):
            before = await self._kept(function_id, image.path)
            code_path = await code.put(function_id, image.sha256, image.path)

            def apply(current: Function) -> Function:
                current = _known(current, before)
                version = changed(current.version, code_sha256=image.sha256)
                return replace(current, version=version, code_path=code_path, archive_sha256=archive_sha256)

            try:
                function = await self._rewrite(function_id, apply)
            except FunctionNotFound:
                await code.remove(function_id)
                raise
            if not await code.has(function_id, image.sha256):
                # Another gateway removed what no row named yet.
                await code.put(function_id, image.sha256, image.path)
            await self._prune(function)
            return function

    async def delete(self, id_or_name: str) -> None:
        """Its instances are stopped by their workers. Raises FunctionNotFound."""
        function = await self._stores.functions.get(id_or_name)
        async with self._turn(function.id):
            await self._stores.functions.delete(function.id)
            await self._stores.registry.remove_function(function.id)
            await self._stores.notifications.publish(function.id)
            await self._stores.logs.remove(function.id)
            try:
                await self._stores.code.remove(function.id)
            except AetherError as error:
                # The function is gone, which is what was asked for; its code takes room, no more.
                _log.warning("code_not_removed", function_id=function.id, reason=error.message)

    def _turn(self, function_id: str) -> asyncio.Lock:
        turn = self._turns.get(function_id)
        if turn is None:
            turn = self._turns[function_id] = asyncio.Lock()
        return turn

    async def _rewrite(self, function_id: str, apply: Callable[[Function], Function]) -> Function:
        """Apply to the row as it is now, again if another gateway was quicker; then tell."""
        functions = self._stores.functions
        while True:
            current = await functions.get(function_id)
            wanted = apply(current)
            if wanted == current:
                # The try before may have ended between the row and the registry.
                break
            wanted = replace(wanted, updated_at=self._stores.clock.now())
            if await functions.update(wanted, expected_generation=current.generation):
                wanted = replace(wanted, generation=current.generation + 1)
                break
        await bring(function_id, functions, self._stores.registry)
        if wanted == current or wanted.version != current.version:
            await self._stores.notifications.publish(function_id)
        return wanted

    async def _kept(self, function_id: str, image: Path) -> str:
        """The sha256 of code that none was known of; '' if there is no such. By it, it can serve again."""
        function = await self._stores.functions.get(function_id)
        if function.version.code_sha256 or not function.code_path:
            return ""
        through = image.with_name(f"{image.name}.before")
        try:
            return await self._stores.code.keep_current(function_id, through)
        except (KeyError, ValueError) as error:
            _log.warning("code_before_not_kept", function_id=function_id, reason=str(error))
            return ""
        finally:
            through.unlink(missing_ok=True)

    async def _prune(self, function: Function) -> None:
        """Keep the code that serves: the current, and the last one seen ready."""
        with suppress(AetherError):
            fresh = await self._stores.functions.get(function.id)
            keep = {fresh.version.code_sha256} | ({fresh.good.code_sha256} if fresh.good else set())
            await self._stores.code.keep_only(function.id, keep)

    def _runtime(self, name: str) -> Runtime:
        runtime = self._runtimes.get(name)
        if runtime is None:
            known = ", ".join(sorted(self._runtimes)) or "none"
            raise InvalidRequest(
                f"there is no runtime {name!r}", fields={"runtime": f"must be one of: {known}"}
            )
        return runtime


def _known(function: Function, sha256: str) -> Function:
    """With the sha256 of the code that it has, where none was known; instances run what they did."""
    if not sha256 or function.version.code_sha256:
        return function
    good = function.good
    if good is not None and not good.code_sha256:
        good = replace(good, code_sha256=sha256)
    return replace(function, version=replace(function.version, code_sha256=sha256), good=good)
