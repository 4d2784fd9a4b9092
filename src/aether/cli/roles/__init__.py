"""Putting roles together out of settings and opened stores; `aether up` and the roles' own commands share it.

`gateway`, `worker`   the parts of a gateway with its API, and of a worker's host
`machines`            the VMM and what it boots
`runtimes`            the runtimes that a gateway sees
`scaling`             who scales: a gateway's candidate, or a controller by itself
`gateway_role`, `worker_role`, `controller_role`   each role as a process: its stores, and with them its life
`gateway_processes`   a gateway as several processes on one port
`serving`             what the commands of all roles do alike
"""
