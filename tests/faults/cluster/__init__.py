"""Scenarios on a cluster of several hosts (`tests.cluster`), under 50 requests a second through haproxy.

haproxy spreads them over both gateways. Scenarios of one kind share a cluster: each finds it whole, and has
to leave it whole again; one that doesn't, fails, and the next gets a new cluster.

`shared`     the cluster that scenarios play on, one after the other
`functions`  what is deployed there, where it runs, and the load on it
`play`       what a scenario is given, and what all of them look at
`hosts`      workers are killed, cut off, stopped, drained
`gateways`   gateways are killed, restarted
`stores`     stores are away, or lose what they had
`adoption`   real microVMs outlive their worker's process
"""
