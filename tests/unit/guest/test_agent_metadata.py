"""The metadata service, `aether-env`, and a new identity, from inside the function's network."""

from __future__ import annotations

import base64
import json
import time

import pytest

SERVE_FOREVER = "sleep 1000"
ASK = """
import json, socket, sys
for request in json.load(sys.stdin if len(sys.argv) < 2 else open(sys.argv[1])):
    s = socket.create_connection(("169.254.169.254", 80)); s.settimeout(10)
    s.sendall(request.encode("latin1"))
    answer = b""
    while True:
        try: data = s.recv(65536)
        except OSError: break
        if not data: break
        answer += data
    print(json.dumps(answer.decode("latin1")), flush=True)
"""


def ask(guest, *requests: str, **changes) -> list[tuple[str, dict[str, str], str]]:
    """Status line, headers, body of each answer, asked for by a function."""
    (guest.code / "requests.json").write_text(json.dumps(requests))
    guest.start("/usr/bin/python3", "-c", ASK, "/code/requests.json", **changes)
    _, lines = guest.until("E")
    assert len(lines) == len(requests), lines
    answers = []
    for _, line in lines:
        head, _, body = json.loads(line).partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        answers.append((first, {k.lower(): v for k, v in (h.split(": ", 1) for h in rest)}, body))
    return answers


@pytest.mark.parametrize(
    "request_text",
    [
        "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nAccept: application/json\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /latest/meta-data HTTP/1.1\r\nX-metadata-token: aether\r\n\r\n",
        "GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
def test_metadata_is_served_as_it_came(guest, request_text):
    [(status, headers, body)] = ask(guest, request_text, env={"A": 'é"\n'}, extra=[1, {"x": None}])
    assert status == "HTTP/1.1 200 OK"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "token": "tok-0123456789",
        "env": {"A": 'é"\n'},
        "entrypoint": "handler.js",
        "port": 3000,
        "extra": [1, {"x": None}],
        "instance_id": "i-1",
        "function_id": "fn-1",
    }


def test_a_session_token_is_given_to_those_who_ask_for_one(guest):
    put = "PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n\r\n"
    [(status, _, body)] = ask(guest, put)
    assert status == "HTTP/1.1 200 OK"
    assert body


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("POST / HTTP/1.1\r\n\r\n", 405),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nA: " + "x" * 5000 + "\r\n\r\n", 400),
    ],
)
def test_what_is_no_plain_request_is_refused(guest, request_text, status):
    [(first, _, _)] = ask(guest, request_text)
    assert first.split()[1] == str(status)


def test_large_metadata_is_served_whole(guest):
    env = {"LARGE": "x" * 100_000}
    script = """
import json, os, urllib.request
answer = urllib.request.urlopen("http://169.254.169.254/")
body = answer.read()
same = json.loads(body)["env"]["LARGE"] == os.environ["LARGE"]
print(len(body) == int(answer.headers["content-length"]), same)
"""
    guest.start("/usr/bin/python3", "-c", script, env=env)
    _, lines = guest.until("E")
    assert lines == [("1", "True True")]


def test_more_connections_than_the_service_keeps_do_not_block_it(guest):
    script = """
import socket
idle = [socket.create_connection(("169.254.169.254", 80)) for _ in range(40)]
s = socket.create_connection(("169.254.169.254", 80))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print(s.recv(15).decode())
"""
    guest.start("/usr/bin/python3", "-c", script)
    _, lines = guest.until("E")
    assert lines == [("1", "HTTP/1.1 200 OK")]


def test_a_function_on_the_metadata_port_has_it_for_itself(guest):
    script = "import socket; s = socket.socket(); s.bind(('', 80)); s.listen(); import time; time.sleep(1000)"
    guest.start("/usr/bin/python3", "-c", script, port=80)
    assert guest.line("no metadata service")[0] == "a"
    guest.until("R")


def test_identity_changes_what_is_served_and_an_impossible_clock_is_said(guest):
    """In a user namespace nobody may set the clock: the microVM tests see that it is set."""
    (guest.code / "requests.json").write_text(json.dumps(["GET / HTTP/1.0\r\n\r\n"]))
    guest.start(
        "/bin/sh",
        "-c",
        'while [ ! -e /code/go ]; do sleep 0.01; done; exec /usr/bin/python3 -c "$0" /code/requests.json',
        ASK,
    )
    guest.send(
        "I",
        {
            "instance_id": "i-2",
            "token": "tok-new",
            "time_ns": time.time_ns(),
            "entropy": base64.b64encode(bytes(64)).decode(),
        },
    )
    assert guest.line("clock can't be set")[0] == "a"
    (guest.code / "go").touch()
    _, lines = guest.until("E")
    served = json.loads(json.loads(lines[-1][1]).partition("\r\n\r\n")[2])
    assert (served["instance_id"], served["token"], served["port"]) == ("i-2", "tok-new", 3000)


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b'{"instance_id":"i"}', b'{"instance_id":1,"token":"t"}', b"\xff"]
)
def test_a_wrong_identity_is_said_and_not_taken(guest, payload):
    guest.shell(SERVE_FOREVER)
    guest.send("I", payload)
    assert "identity" in guest.line("metadata:")[1]
    guest.send("W")
    status, _ = guest.until("S")
    assert status["instance_id"] == "i-1"
