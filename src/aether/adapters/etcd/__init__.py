"""The registry on etcd 3.4 or later, over its JSON gateway.

`connection` is HTTP/1.1 as far as the gateway speaks it, `json_gateway` calls and streams over any number
of endpoints, `answers` says what they mean, `entries` what lies under the keys, `revisions` what a change is
counted by, `history` tells an etcd that was restored from the one before, `wanted` writes what a lease
holds, by `writes`. `registry`, `lease` and `watch` implement the port.
"""
