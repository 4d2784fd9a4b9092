"""How long a process waited for a processor."""

from __future__ import annotations

import os
from pathlib import Path

from aether.vmm.starvation import starved_s


def test_the_thread_that_waited_longest_counts(tmp_path: Path):
    for task, text in {"7": "1 2000000000 3\n", "8": "9 500000000 1\n", "9": "", "10": "x y z"}.items():
        (tmp_path / "7" / "task" / task).mkdir(parents=True)
        (tmp_path / "7" / "task" / task / "schedstat").write_text(text)
    assert starved_s(7, tmp_path) == 2.0


def test_of_a_process_that_is_gone_nothing_is_known(tmp_path: Path):
    assert starved_s(7, tmp_path) == 0.0


def test_this_hosts_kernel_says_something_or_nothing():
    assert 0 <= starved_s(os.getpid()) < 1e6
