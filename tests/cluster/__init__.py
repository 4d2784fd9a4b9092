"""A whole cluster on one machine: real stores, gateways behind haproxy, workers on hosts of their own.

    make cluster         # to try it: deploys an example and shows what goes on, until Ctrl-C
    make test-cluster    # the tests in this folder
    make test-faults     # `tests.faults` breaks the same cluster under load

It needs root, for network namespaces; what it makes is named after the run (`aec` and four hex digits), and
gone at the end. After `kill -9` the kernel ends all processes; the next start removes the rest.

`able`      what the machine has to have
`run`       a run's name, directory and lock; sweeps what killed runs left
`shell`     commands that have to work
`network`   a bridge with addresses of its own
`host`      namespaces that make processes believe that they are on another host
`process`   a supervised process with a log
`stores`    etcd, Redis, PostgreSQL and an S3 server
`haproxy`   what stands before the gateways
`cluster`   all of it together
"""
