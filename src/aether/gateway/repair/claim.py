"""That a gateway's database is the one that the registry's configurations are copies of."""

from __future__ import annotations

from aether.domain.errors import AetherError
from aether.ports.function_store import FunctionStore
from aether.ports.registry import Registry


class OtherDatabase(AetherError):
    """Functions are repaired from the database: from another, all that the cluster has would be removed."""

    code, status = "other_database", 500


async def require_same_database(functions: FunctionStore, registry: Registry) -> None:
    """Raises OtherDatabase, StoreUnavailable. The first over a new registry decides which it is."""
    ours = await functions.identity()
    theirs = await registry.claim(ours)
    if theirs != ours:
        raise OtherDatabase(
            "this gateway has another database than the gateways over this etcd have",
            hint="give all the same AETHER_DATABASE_URL; if the functions are to come from this one from now"
            " on: stop all gateways, then etcdctl del /aether/database",
        )
