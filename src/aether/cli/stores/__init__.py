"""Opening what roles share: a file for each engine, and what all have in common.

`opened`    what each role needs, as ports
`needed`    the settings that a role can't do without
`etcd`, `redis`, `code`, `sql`   one engine each: open it, and look whether it does what we need
`tls`       whom we trust and what we show
`failing`   how a store that is not there is told, and waiting for one
`health`    how stores are just now
`shared`    all of it together, for each role; `of_gateway` with the database
"""
