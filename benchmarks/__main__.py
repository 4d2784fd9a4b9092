"""`python -m benchmarks SUITE`: measure, print a table, write `build/benchmarks/SUITE.json`."""

from __future__ import annotations

import argparse
import importlib

from benchmarks import report

SUITES = {
    "coldstart": "What a microVM's boot and restore take, beside bare QEMU doing the same",
    "controlplane": "Cold starts a second through real etcd and Redis, over simulated instances",
    "relay": "Requests and bytes through gateway and instance proxy, beside nginx doing the same",
    "scaling": "Keep-alive policies over a day of traffic in simulated time",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = "; ".join(f"{name}: {what}" for name, what in SUITES.items())
    parser.add_argument("suite", choices=sorted(SUITES), help=suites)
    parser.add_argument("--runs", type=int, default=None, help="instead of the suite's own number")
    arguments = parser.parse_args()
    suite = importlib.import_module(f"benchmarks.{arguments.suite}")
    metrics = suite.measure(arguments.runs or suite.RUNS)
    report.show(arguments.suite, metrics)
    print(f"\nwritten to {report.write(arguments.suite, metrics)}")


if __name__ == "__main__":
    main()
