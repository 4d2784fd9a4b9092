"""Calling functions from the command line, and reading what they print."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from tests.integration.cli.conftest import Running

from aether.cli.client import Client
from aether.cli.data_dir import api_key
from aether.ports.function_logs import LogRecord


def test_invoke_sends_what_is_asked_for(aether, hello):
    called = aether(
        "invoke", hello, "/items?q=a%20b", "-X", "PUT", "-H", "X-One: 1", "-H", "x-two:2", "-d", '{"a":1}'
    )
    assert called.code == 0
    seen = called.json
    headers = dict(seen["headers"])
    assert (seen["method"], seen["path"], seen["body"]) == ("PUT", "/items?q=a%20b", '{"a":1}')
    assert (headers["x-one"], headers["x-two"]) == ("1", "2")


def test_invoke_keeps_the_key_to_itself(aether, hello, monkeypatch):
    monkeypatch.setenv("AETHER_KEY", "my-key")
    assert "my-key" not in aether("invoke", hello).out
    own = aether("invoke", hello, "-H", "Authorization: Bearer of-the-function").json
    assert dict(own["headers"])["authorization"] == "Bearer of-the-function"


def test_data_makes_it_a_post_and_can_be_a_file(aether, hello, tmp_path):
    body = tmp_path / "body.bin"
    body.write_bytes(b"x" * 300_000)
    seen = aether("invoke", hello, "-d", f"@{body}").json
    assert (seen["method"], seen["body_bytes"]) == ("POST", 300_000)
    assert dict(seen["headers"])["content-length"] == "300000"
    missing = aether("invoke", hello, "-d", "@no-such-file")
    assert (missing.code, "no-such-file" in missing.err) == (1, True)


def test_data_can_come_from_a_pipe(platform, hello):
    environment = {**os.environ, "AETHER_URL": platform.url, "AETHER_DATA_DIR": str(platform.data_dir)}
    ran = subprocess.run(
        [sys.executable, "-m", "aether.cli", "invoke", hello, "-d", "@-"],
        input=b"from a pipe", capture_output=True, env=environment, check=True,
    )  # fmt: skip
    assert json.loads(ran.stdout)["body"] == "from a pipe"


def test_include_prints_the_head_first(aether, hello):
    head, body = aether("invoke", hello, "-i").out.split("\r\n\r\n", 1)
    assert head.startswith("HTTP/1.1 200")
    assert "x-call-id: " in head.lower()
    assert json.loads(body)["path"] == "/"


def test_functions_own_error_is_printed_and_gives_exit_code_4(aether, hello):
    called = aether("invoke", hello, "-H", "x-simulated-status: 418")
    assert called.code == 4
    assert called.json["path"] == "/"
    assert f"{hello} answered with status 418" in called.err


def test_platforms_error_is_a_sentence_and_gives_exit_code_1(aether):
    missing = aether("invoke", "not-there")
    assert (missing.code, missing.out) == (1, "")
    assert "not-there" in missing.err
    assert "aether list" in missing.err


def test_function_that_does_not_start_tells_its_last_words(aether, folder):
    aether("deploy", str(folder), "-n", "broken", "-e", "FAILS_TO_START=1", "--no-wait")
    called = aether("invoke", "broken")
    assert (called.code, called.out) == (1, "")
    assert "(call call-" in called.err
    assert "simulated failure at start" in called.err
    aether("rm", "broken")


def test_timeout_shortens_the_deadline(aether, hello):
    aether("invoke", hello)
    late = aether("invoke", hello, "--timeout", "0.2", "-H", "x-simulated-respond-ms: 20000")
    assert (late.code, late.out) == (1, "")
    assert aether("invoke", hello, "--timeout", "0").code == 2


def test_timing_is_drawn_beside_the_answer(aether, folder):
    aether("deploy", str(folder), "-n", "cold", "--no-wait")
    called = aether("invoke", "cold", "/x", "--show-timing")
    assert called.json["path"] == "/x"
    names = [line.split()[0] for line in called.err.splitlines()]
    assert {"boot", "fn", "network", "body"} < set(names)
    assert names[-1] == "total"
    assert called.err.splitlines()[-1].endswith("answered 200")
    aether("rm", "cold")


def test_repeated_calls_are_summed_up(aether, hello, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"again")
    called = aether("invoke", hello, "-d", f"@{body}", "--repeat", "5")
    assert called.code == 0
    assert called.out.count('"again"') == 5
    found = re.fullmatch(
        r"5 calls: min ([\d.]+)  median ([\d.]+)  p95 ([\d.]+)  max ([\d.]+) ms; 5 answered 200\n", called.err
    )
    figures = [float(figure) for figure in found.groups()]
    assert figures == sorted(figures)
    assert aether("invoke", hello, "--repeat", "0").code == 2


def test_failure_among_repeated_calls_is_the_exit_code(aether, hello):
    called = aether("invoke", hello, "-H", "x-simulated-status: 503", "--repeat", "3")
    assert called.code == 4
    assert "3 calls: " in called.err
    assert "3 answered 503" in called.err


def test_what_a_pipe_has_is_sent_each_time(platform, hello):
    environment = {**os.environ, "AETHER_URL": platform.url, "AETHER_DATA_DIR": str(platform.data_dir)}
    ran = subprocess.run(
        [sys.executable, "-m", "aether.cli", "invoke", hello, "-d", "@-", "--repeat", "2"],
        input=b"once", capture_output=True, env=environment, check=True,
    )  # fmt: skip
    assert ran.stdout.count(b'"once"') == 2


@pytest.mark.parametrize("header", ["no colon", ": no name"])
def test_header_that_is_none_is_wrong_usage(aether, hello, header):
    assert aether("invoke", hello, "-H", header).code == 2


def test_logs_are_found_by_call(aether, hello):
    aether("invoke", hello, "/one", "-H", "X-Call-Id: of-this-test")
    aether("invoke", hello, "/two")
    all_lines = aether("logs", hello).out.splitlines()
    assert [line.split()[-1] for line in all_lines if "GET" in line][-2:] == ["/one", "/two"]
    of_one = [
        json.loads(line)
        for line in aether("logs", hello, "--call-id", "of-this-test", "--json").out.splitlines()
    ]
    assert [line["text"] for line in of_one] == ["GET /one"]
    assert aether("logs", hello, "--since", "2100-01-01T00:00:00Z").out == ""
    assert len(aether("logs", hello, "--since", "1h").out.splitlines()) == len(all_lines)
    assert len(aether("logs", hello, "--limit", "1").out.splitlines()) == 1
    assert aether("logs", hello, "--since", "yesterday").code == 2


def test_follow_shows_lines_as_they_come_until_interrupted(aether, platform, hello):
    environment = {**os.environ, "AETHER_URL": platform.url, "AETHER_DATA_DIR": str(platform.data_dir)}
    aether("invoke", hello, "/before")
    with subprocess.Popen(
        [sys.executable, "-m", "aether.cli", "logs", hello, "-f"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as following:  # fmt: skip
        seen = iter(following.stdout.readline, "")
        assert any("GET /before" in line for line in seen)
        aether("invoke", hello, "/after")
        assert any("GET /after" in line for line in seen)
        following.send_signal(2)
        _, err = following.communicate(timeout=20)
    assert (following.returncode, err) == (130, "")


@pytest.mark.usefixtures("platform")  # which has the log of this process' platforms written elsewhere
def test_follow_says_that_the_platform_stops(tmp_path):
    running = Running(tmp_path)
    try:
        own = running.start()
        with Client(own.url, api_key(own.data_dir)) as client:
            function = client.create({"name": "hello", "runtime": "node"})
        environment = {**os.environ, "AETHER_URL": own.url, "AETHER_DATA_DIR": str(own.data_dir)}
        with subprocess.Popen(
            [sys.executable, "-m", "aether.cli", "logs", "hello", "-f"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        ) as following:  # fmt: skip
            at = datetime.now(UTC)
            running.print_line(LogRecord(function["id"], "inst-1", "stdout", "from the function", at))
            assert "from the function" in following.stdout.readline()  # in the tail, or followed
            running.end()
            _, err = following.communicate(timeout=20)
        assert (following.returncode, err) == (0, "The platform ended the stream of lines: it is stopping.\n")
    finally:
        running.end()
