"""What processes on one port tell each other, as if each seat were in another process."""

import socket

import pytest

from aether.http.census import Census
from aether.http.port_share import PortShare, Seat


@pytest.fixture
def share():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        yield PortShare(listening, 3)


@pytest.fixture
def seats(share):
    seats = [Seat(share, index) for index in range(2)]  # the third is not up yet
    for seat in seats:
        seat.sit_down()
    return seats


def test_the_limit_is_for_all_processes_together(seats):
    one, other = (Census(3, None, seat) for seat in seats)
    assert [one.enter("192.0.2.1"), other.enter("192.0.2.1"), one.enter("")] == [True, True, True]
    assert not other.enter("192.0.2.2")
    one.leave("")
    assert other.enter("192.0.2.2")


def test_the_limit_of_a_client_too(seats):
    one, other = (Census(100, 2, seat) for seat in seats)
    assert one.enter("192.0.2.1")
    assert other.enter("192.0.2.1")
    assert not one.enter("192.0.2.1")
    assert not other.enter("::ffff:192.0.2.1")
    assert other.enter("192.0.2.2")
    one.leave("192.0.2.1")
    assert other.enter("192.0.2.1")


def test_many_clients_are_hardly_ever_taken_for_one_another(seats):
    census = Census(10_000, 2, seats[0])
    refused = sum(not census.enter(f"10.0.{n // 250}.{n % 250}") for n in range(1000))
    assert refused <= 5


def test_connections_of_a_process_that_ended_are_gone(share, seats):
    one, other = (Census(2, 1, seat) for seat in seats)
    assert one.enter("192.0.2.1")
    assert one.enter("192.0.2.2")
    assert not other.enter("192.0.2.1")
    share.vacate(0)
    assert other.enter("192.0.2.1")
    assert seats[1].total() == 1


def test_who_has_clearly_more_connections_leaves_new_ones_to_others(share, seats):
    census = Census(100, None, seats[0])
    assert seats[0].is_my_turn()
    for _ in range(3):
        census.enter("")
    assert not seats[0].is_my_turn()
    assert seats[1].is_my_turn()
    share.vacate(1)
    assert seats[0].is_my_turn()


def test_all_end_together(share, seats):
    assert not seats[0].all_end
    share.end()
    assert seats[0].all_end
    assert seats[1].all_end
