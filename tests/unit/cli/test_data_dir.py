"""The data directory and the sockets' one: private, one owner at a time, nothing left."""

from __future__ import annotations

import os
import stat

import pytest

from aether.cli.data_dir import api_key, locked, shared, socket_directory
from aether.cli.failures import Refused


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    assert api_key(tmp_path) == api_key(tmp_path)
    assert stat.S_IMODE((tmp_path / "api-key").stat().st_mode) == 0o600


def test_a_second_owner_is_refused_until_the_first_has_gone(tmp_path):
    data = tmp_path / "data"
    with locked(data), pytest.raises(Refused, match=f"process {os.getpid()}"), locked(data):
        pass
    with locked(tmp_path / "data"):
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_a_data_directory_that_cannot_be_is_a_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="can't be used"), locked(tmp_path / "file" / "data"):
        pass


def test_a_socket_directory_made_here_is_gone_afterwards(tmp_path):
    with socket_directory(tmp_path / "run"):
        (tmp_path / "run" / "vms").mkdir()
        assert stat.S_IMODE((tmp_path / "run").stat().st_mode) == 0o700
    assert not (tmp_path / "run").exists()


def test_a_socket_directory_of_the_users_own_stays(tmp_path):
    (tmp_path / "run").mkdir(mode=0o700)
    with socket_directory(tmp_path / "run"):
        pass
    assert (tmp_path / "run").is_dir()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_a_socket_directory_that_others_may_write_is_refused(tmp_path, mode):
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    with pytest.raises(Refused, match="belongs to this user alone"), socket_directory(tmp_path / "run"):
        pass


def test_a_link_in_place_of_a_socket_directory_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused), socket_directory(tmp_path / "run"):
        pass


def test_a_gateway_and_a_worker_share_a_directory_but_not_with_a_platform(tmp_path):
    with shared(tmp_path, "gateway"), shared(tmp_path):
        with pytest.raises(Refused, match="Another gateway"), shared(tmp_path, "gateway"):
            pass
        with pytest.raises(Refused, match="Another platform"), locked(tmp_path):
            pass
    with locked(tmp_path), pytest.raises(Refused, match="Another platform"), shared(tmp_path, "worker"):
        pass


def test_one_roles_sockets_go_without_taking_anothers(tmp_path):
    with socket_directory(tmp_path / "run/gateway"):
        with socket_directory(tmp_path / "run"):
            (tmp_path / "run" / "vms").mkdir()
        assert (tmp_path / "run/gateway").is_dir()
    assert not (tmp_path / "run").exists()
