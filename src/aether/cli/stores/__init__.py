"""Opening what roles share: a file for each engine, and what all have in common.

`opened`     every port but the VMM, and the embedded ones of `aether up`
`failing`    how a store that is not there is told, and waiting for one
`tls`        whom we trust and what we show
`etcd`, `redis`, `code`, `sql`   one engine each: open it, and look whether it does what we need
`shared`     what each role opens
"""
