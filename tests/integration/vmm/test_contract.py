"""The QEMU driver meets the contract."""

from __future__ import annotations

import pytest
from tests.contract.vmm_contract import VmmContract


@pytest.mark.vm
class TestQemuVmm(VmmContract):
    patience_s = 60.0
    silence_s = 15.0
