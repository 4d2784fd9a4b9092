"""The rate of the processor's time-stamp counter, which a guest under emulation must be told.

Without it the guest's own calibration fails at random, and its boot hangs.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Self

KERNEL_SAYS = Path("/sys/devices/system/cpu/cpu0/tsc_freq_khz")
"""Only some kernels have it."""

# rdtsc; shl rdx, 32; or rax, rdx; ret
READ_COUNTER = bytes.fromhex("0f31 48c1e220 4809d0 c3")

ROUNDS = 5
ROUND_S = 0.02
TRIES_FOR_A_PAIR = 50


@cache
def tsc_khz() -> int:
    """In kHz; 0 on processors without such a counter. Takes 0.1 s the first time, unless the kernel says.

    Raises OSError where the system forbids to make machine code of our own executable.
    """
    if platform.machine() != "x86_64":
        return 0
    try:
        return int(KERNEL_SAYS.read_text())
    except (OSError, ValueError):
        return measure()


def measure() -> int:
    """Counter against clock; the median of some rounds, right to some parts in a million."""
    with machine_code(READ_COUNTER) as code:
        counter = code.function
        rates = []
        for _ in range(ROUNDS):
            ticks, clock_ns = pair(counter)
            time.sleep(ROUND_S)
            later_ticks, later_ns = pair(counter)
            rates.append((later_ticks - ticks) * 1e6 / (later_ns - clock_ns))
    return round(statistics.median(rates))


def pair(counter: Callable[[], int]) -> tuple[int, int]:
    """Counter and clock at the same moment: the try that was interrupted least."""
    best, best_width = (0, 0), 1 << 62
    for _ in range(TRIES_FOR_A_PAIR):
        before = time.monotonic_ns()
        ticks = counter()
        after = time.monotonic_ns()
        if after - before < best_width:
            best, best_width = (ticks, (before + after) // 2), after - before
    return best


class machine_code:  # noqa: N801 - reads as the context manager that it is
    """A few instructions as a function without arguments; its memory is let go of afterwards."""

    def __init__(self, code: bytes) -> None:
        self.memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.memory.write(code)
        self.anchor = ctypes.c_char.from_buffer(self.memory)
        prototype = ctypes.CFUNCTYPE(ctypes.c_uint64)
        self.function: Callable[[], int] = prototype(ctypes.addressof(self.anchor))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        del self.function, self.anchor
        self.memory.close()
