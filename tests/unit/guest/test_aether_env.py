"""`aether-env CMD…` inside a guest: metadata fetched, token checked, variables exported, CMD run."""

from __future__ import annotations

import shutil

import pytest

FOREIGN = """
import socket, subprocess, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("169.254.169.254", 80))
s.listen()
child = subprocess.Popen(sys.argv[2:])
for answer in sys.argv[1].split("|"):
    c, _ = s.accept()
    request = b""
    while not request.endswith(b"\\r\\n\\r\\n"): request += c.recv(4096)
    print(request.decode().replace("\\r\\n", ";"), flush=True)
    c.sendall(answer.encode().decode("unicode_escape").encode())
    c.close()
sys.exit(child.wait())
"""
"""Another metadata service in place of the agent's: the function's port is 80, so that it is free."""


def with_cmdline(guest, cmdline: str, *command: str) -> list[str]:
    """Runs a command where /proc/cmdline says that."""
    (guest.code / "cmdline").write_text(cmdline)
    script = 'mount --bind /code/cmdline /proc/cmdline && exec "$@"'
    return ["/bin/sh", "-c", script, "sh", *command]


@pytest.fixture
def env_guest(guest, agent_binary):
    shutil.copy(agent_binary, guest.code / "aether-env")
    return guest


def test_the_environment_is_exported_to_the_command(env_guest):
    command = with_cmdline(
        env_guest,
        "quiet aether_token=tok-0123456789\n",
        "/usr/bin/env",
        "-i",
        "/code/aether-env",
        "/usr/bin/env",
    )
    env_guest.start(*command, env={"A": "1", "B": "two words", "C": "é"})
    ended, lines = env_guest.until("E")
    assert ended["code"] == 0, lines
    assert [text for _, text in lines] == ["A=1", "B=two words", "C=é"]


def test_the_command_is_found_on_the_path(env_guest):
    command = with_cmdline(env_guest, "aether_token=tok-0123456789", "/code/aether-env", "sh", "-c", "exit 9")
    env_guest.start(*command)
    ended, _ = env_guest.until("E")
    assert ended["code"] == 9


@pytest.mark.parametrize("cmdline", ["aether_token=another", "quiet", "aether_token="])
def test_a_token_that_does_not_match_ends_it_with_a_clear_line(env_guest, cmdline):
    env_guest.start(*with_cmdline(env_guest, cmdline, "/code/aether-env", "echo", "never"))
    ended, lines = env_guest.until("E")
    assert ended["code"] == 1
    assert [stream for stream, _ in lines] == ["2"]
    assert "token does not match" in lines[0][1]


def test_without_a_command_it_says_so(env_guest):
    env_guest.start(*with_cmdline(env_guest, "aether_token=tok-0123456789", "/code/aether-env"))
    ended, lines = env_guest.until("E")
    assert ended["code"] == 1
    assert "aether-env CMD" in lines[0][1]


def foreign(guest, answers: str):
    command = [
        "/usr/bin/python3",
        "-c",
        FOREIGN,
        answers,
        "/code/aether-env",
        "/bin/sh",
        "-c",
        "echo A is $A",
    ]
    guest.start(*with_cmdline(guest, "aether_token=t", *command), port=80)
    ended, lines = guest.until("E")
    return ended["code"], [text for stream, text in lines if stream in "12"]


DOCUMENT = r"HTTP/1.1 200 OK\r\n\r\n" + '{"token": "t", "env": {"A": "1"}, "later": []}'


def test_a_service_that_closes_instead_of_giving_a_length_is_understood(env_guest):
    code, lines = foreign(env_guest, DOCUMENT)
    assert code == 0
    assert "Accept: application/json;" in lines[0]
    assert lines[1] == "A is 1"


def test_a_service_that_wants_a_session_token_gets_it(env_guest):
    answers = (
        r"HTTP/1.1 401 Unauthorized\r\n\r\n|HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd|" + DOCUMENT
    )
    code, lines = foreign(env_guest, answers)
    assert code == 0, lines
    assert lines[1].startswith("PUT /latest/api/token HTTP/1.1;")
    assert "X-metadata-token-ttl-seconds: 60;" in lines[1]
    assert "X-metadata-token: abcd;" in lines[2]
    assert lines[3] == "A is 1"


@pytest.mark.parametrize(
    "answer",
    [
        "nonsense",
        r"HTTP/1.1 500 No\r\n\r\n{}",
        r"HTTP/1.1 200 OK\r\n\r\n{",
        r"HTTP/1.1 200 OK\r\n\r\n[]",
        r"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ],
)
def test_a_bad_answer_ends_it_with_a_clear_line(env_guest, answer):
    code, lines = foreign(env_guest, answer)
    assert code == 1
    assert lines[1].startswith("aether-env: ")
