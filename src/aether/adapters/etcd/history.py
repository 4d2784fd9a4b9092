"""Whether etcd still has the history that we know: one that was restored empty has another.

Its revision alone doesn't tell, since the new one may have grown beyond the old; nor does the cluster's id,
which follows from addresses. So a key of ours is put once into each history.
"""

from __future__ import annotations

import secrets

from aether.adapters.etcd.answers import plain, text
from aether.adapters.etcd.json_gateway import JsonGateway

KEY = "/aether/history"


async def known(gateway: JsonGateway) -> str:
    """Which history it is; '' for one that nobody has taken a view of yet. Raises StoreUnavailable."""
    kvs = (await gateway.call("kv/range", {"key": text(KEY)})).get("kvs")
    return plain(kvs[0].get("value", "")).decode(errors="replace") if kvs else ""


async def begun(gateway: JsonGateway) -> str:
    """The same, begun if need be."""
    while not (history := await known(gateway)):
        absent = {"target": "CREATE", "key": text(KEY), "create_revision": "0"}
        put = {"request_put": {"key": text(KEY), "value": text(secrets.token_hex(8))}}
        await gateway.call("kv/txn", {"compare": [absent], "success": [put]})
    return history
