"""What `aether deploy` sends, waits for and shows."""

import http.server
import json
import os
import pty
import subprocess
import sys
import threading
from contextlib import ExitStack

import httpx
import pytest


def test_what_the_platform_has_is_not_uploaded_again(aether, hello, folder):
    first = aether("deploy", str(folder), "-n", hello, "--json").json
    assert (first["changed"], first["uploaded"]) == (False, False)
    assert first["code"]["sha256"] == first["function"]["code_sha256"]
    assert f"Unchanged: {hello}" in aether("deploy", str(folder), "-n", hello).out
    (folder / "handler.js").write_text("module.exports = () => 'changed'\n")
    changed = aether("deploy", str(folder), "-n", hello, "--json").json
    assert (changed["changed"], changed["uploaded"]) == (True, True)
    assert changed["code"]["sha256"] != first["code"]["sha256"]


def test_changed_settings_need_no_upload(aether, hello, folder):
    changed = aether("deploy", str(folder), "-n", hello, "--memory", "256", "--json").json
    assert (changed["changed"], changed["uploaded"]) == (True, False)
    assert changed["function"]["memory_mb"] == 256
    assert changed["function"]["rollout"]["status"] == "ready", "the new version was started"


def test_force_uploads_all_the_same(aether, hello, folder):
    forced = aether("deploy", str(folder), "-n", hello, "--force", "--json").json
    assert forced["uploaded"]


def test_first_start_is_waited_for_and_its_phases_are_shown(aether, folder):
    deployed = aether("deploy", str(folder), "-n", "waited")
    assert deployed.code == 0
    shown = deployed.err.splitlines()
    assert shown[0].startswith("Its first instance was ready after")
    assert {"boot", "ready"} <= {line.split()[0] for line in shown[1:]}
    assert len(aether("describe", "waited", "--json").json["instances"]) == 1
    aether("rm", "waited")


def test_no_wait_starts_nothing(aether, folder):
    deployed = aether("deploy", str(folder), "-n", "quiet", "--no-wait")
    assert (deployed.code, deployed.err) == (0, "")
    assert aether("describe", "quiet", "--json").json["instances"] == []
    aether("rm", "quiet")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_start_that_fails_is_exit_code_1_with_the_end_of_the_console(aether, folder, options):
    failed = aether("deploy", str(folder), "-n", "broken", "-e", "FAILS_TO_START=1", *options)
    assert failed.code == 1
    assert "broken is deployed, but does not start: " in failed.err
    assert "simulated failure at start" in failed.err
    assert "Traceback" not in failed.err
    assert "earlier version" not in failed.err, "there is none"
    rollout = next(
        line for line in aether("describe", "broken").out.splitlines() if line.startswith("rollout")
    )
    assert rollout.split()[1] == "failed:"
    if options:
        assert failed.json["function"]["rollout"]["status"] == "failed"
    aether("rm", "broken")


def test_version_before_serves_on_when_the_new_one_fails(aether, hello, folder):
    failed = aether("deploy", str(folder), "-n", hello, "-e", "FAILS_TO_START=1")
    assert failed.code == 1
    assert "goes on serving" in failed.err
    assert aether("invoke", hello).code == 0
    again = aether("deploy", str(folder), "-n", hello)
    assert (again.code, "did not start when last tried" in again.err) == (1, True)
    assert aether("deploy", str(folder), "-n", hello, "--unset-env", "FAILS_TO_START").code == 0


class Between(http.server.BaseHTTPRequestHandler):
    """Passes calls on to the platform; `answer` may change what it answers."""

    behind = ""

    @staticmethod
    def answer(path, status, told):
        return status, told

    def _pass_on(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        got = httpx.request(self.command, self.behind + self.path, content=body, headers=headers)
        status, told = self.answer(self.path, got.status_code, json.loads(got.content or "null"))
        content = b"" if told is None else json.dumps(told).encode()
        self.send_response(status)
        self.send_header("content-type", got.headers.get("content-type", ""))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = _pass_on  # noqa: N815 - the names are http.server's

    def log_message(self, *_):
        pass


@pytest.fixture
def between(platform):
    """Starts one with the `answer` given; its URL."""
    with ExitStack() as stack:

        def start(answer):
            handler = type("Handler", (Between,), {"behind": platform.url, "answer": staticmethod(answer)})
            server = stack.enter_context(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            stack.callback(serving.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


def test_platform_that_tells_less_gets_all_and_is_not_waited_for(aether, folder, between):
    def promised(path, status, told):
        """What the wire contract names, and no calls beyond it."""
        added = ("rollout", "archive_sha256", "code_sha256", "domains", "revision")
        if isinstance(told, dict):
            told = {name: value for name, value in told.items() if name not in added}
        return (404 if path.endswith("/start") else status), told

    url = between(promised)
    for _ in range(2):
        deployed = aether("deploy", str(folder), "-n", "plain", "--url", url)
        assert (deployed.code, deployed.err) == (0, "")
        assert ", as it was" not in deployed.out
    assert aether("invoke", "plain").code == 0
    aether("rm", "plain")


def test_platform_without_room_is_told_apart_from_code_that_fails(aether, folder, between):
    def full(path, status, told):
        error = {
            "code": "no_capacity",
            "message": "all workers are full",
            "component": "gateway",
            "call_id": "c",
        }
        return (503, {"error": error}) if path.endswith("/start") else (status, told)

    deployed = aether("deploy", str(folder), "-n", "waits", "--url", between(full))
    assert deployed.code == 1
    assert "Created waits" in deployed.out
    assert "waits is deployed, but can't be started now: all workers are full" in deployed.err
    aether("rm", "waits")


def test_domains_are_given_and_taken_away(aether, hello, folder):
    words = ["deploy", str(folder), "-n", hello, "--json"]
    given = aether(*words, "--domain", "Shop.example.com", "--domain", "a.example.com").json
    assert given["function"]["domains"] == ["a.example.com", "shop.example.com"]
    assert not aether(*words, "--domain", "a.example.com", "--domain", "shop.example.com").json["changed"]
    assert aether(*words, "--domain", "").json["function"]["domains"] == []


def test_upload_shows_a_bar_on_a_terminal_only(platform, aether, folder):
    (folder / "large.bin").write_bytes(os.urandom(3_000_000))
    environment = {
        **os.environ, "AETHER_URL": platform.url, "AETHER_DATA_DIR": str(platform.data_dir), "TERM": "xterm",
    }  # fmt: skip
    ours, its = pty.openpty()
    words = [sys.executable, "-m", "aether.cli", "deploy", str(folder), "-n", "bar"]
    with subprocess.Popen(words, stdin=its, stdout=subprocess.PIPE, stderr=its, env=environment) as ran:
        os.close(its)
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # how Linux says that nobody has the other end any more
        os.close(ours)
        out = ran.stdout.read()
    assert ran.returncode == 0
    assert b"MiB" in shown
    assert b"\x1b" not in out.replace(b"\x1b[1m", b"").replace(b"\x1b[0m", b"")
    assert b"Created bar" in out
    aether("rm", "bar")
