"""Lists in pages: `?limit=&cursor=`, and the next page in a `Link` header."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

from fastapi import Query, Request, Response

MAX_PAGE = 1000

Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="Entries of a page")]
Cursor = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9._:-]{1,128}$",
        description="From the `Link` header of the page before; not to be made up",
    ),
]


class Identified(Protocol):
    @property
    def id(self) -> str: ...


Entry = TypeVar("Entry", bound=Identified)


def page(request: Request, response: Response, entries: Sequence[Entry], limit: int) -> Sequence[Entry]:
    """The first `limit` of `entries`, with the header that leads on if there were more."""
    if len(entries) <= limit:
        return entries
    shown = entries[:limit]
    following = request.url.include_query_params(cursor=shown[-1].id, limit=limit)
    # Relative: what the client calls this gateway is the edge's to know.
    response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return shown
