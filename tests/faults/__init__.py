"""Scenarios that break things under load, and count what became of every request.

    python -m tests.faults             # all, in turn; also `make test-faults`
    python -m tests.faults burst hang  # some
    python -m tests.faults --list

`load`       sends requests and judges answers; knows nothing of what it talks to but HTTP and the contract
`stage`      platforms as processes of their own, on simulated instances or microVMs, and what to look at
`scenarios`  one module each
`playing`    in turn, each with a directory and a time limit
`report`     the table, and build/faults.json
"""
