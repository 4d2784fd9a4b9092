"""What `aether deploy` sends, waits for and shows."""

import os
import pty
import subprocess
import sys

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
    assert "broken is deployed, but its code does not start: " in failed.err
    assert "simulated failure at start" in failed.err
    assert "Traceback" not in failed.err
    rollout = next(
        line for line in aether("describe", "broken").out.splitlines() if line.startswith("rollout")
    )
    assert rollout.split()[1] == "failed:"
    if options:
        assert failed.json["function"]["rollout"]["status"] == "failed"
    aether("rm", "broken")


def test_version_before_serves_on_when_the_new_one_fails(aether, hello, folder):
    assert aether("deploy", str(folder), "-n", hello, "-e", "FAILS_TO_START=1").code == 1
    assert aether("invoke", hello).code == 0


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
