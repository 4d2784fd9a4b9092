"""Putting roles together out of settings and opened stores; `aether up` and the roles' own commands share it.

`gateway`   the gateway and its management API
`worker`    the worker's host: capacity, code, proxies
`machines`  the VMM and what it boots
"""
