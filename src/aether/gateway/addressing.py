"""Which function a request is for, by host or by path."""

from __future__ import annotations

import re

from aether.domain.errors import FunctionNotFound
from aether.domain.function import FunctionConfig
from aether.gateway.names import Names
from aether.gateway.prefix import check_path, check_reference
from aether.http import Request

_INVOCATION = re.compile(rb"/functions/([^/?]+)(/[^?]*)?(\?.*)?", re.DOTALL)


def addressed(request: Request, names: Names) -> tuple[FunctionConfig, bytes] | None:
    """The function that is meant, and the target as it sees it.

    None for what the management API answers. Raises FunctionNotFound, BadRequest.
    """
    if names.has_hosts:
        host = request.host.lower().partition(b":")[0].removesuffix(b".").decode("latin-1")
        function = names.find_by_host(host)
        if function is not None:
            return function, request.target
        if names.owns_host(host):
            raise _not_found(host)
    match = _INVOCATION.fullmatch(request.target)
    if match is None:
        return None
    reference, path, query = match.groups(default=b"")
    check_path(path)
    function = names.find(reference.decode("latin-1"))
    if function is None:
        check_reference(reference)
        raise _not_found(reference.decode("latin-1")[:80])
    return function, (path or b"/") + query


def _not_found(what: str) -> FunctionNotFound:
    return FunctionNotFound(f"there is no function {what!r}", hint="`aether list` shows those there are")
