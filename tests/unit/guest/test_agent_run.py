"""What a function's host hears of it: start, lines, readiness, and why it ended."""

from __future__ import annotations

import resource
import signal

import pytest

LISTEN = """
import os, signal, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(os.environ["PORT"])))
s.listen()
{then}
"""


def listen(guest, address="0.0.0.0", then="signal.pause()", **changes):
    guest.start("/usr/bin/python3", "-c", LISTEN.format(then=then), address, **changes)


def test_hello_comes_first_and_a_function_is_started_with_its_environment(guest):
    guest.connect()
    hello = guest.expect("H")
    assert hello["protocol"] == 1
    assert hello["uptime_ms"] > 0
    guest.send("M", guest.metadata("/usr/bin/env", env={"NAME": "né\n1", "PORT": "1"}))
    ended, lines = guest.until("E")
    assert ended["reason"] == "exited"
    assert ended["code"] == 0
    assert {text for _, text in lines} == {
        "NAME=né",
        "1",
        "PORT=3000",
        "AETHER_FUNCTION=fn-1",
        "AETHER_INSTANCE=i-1",
        "AETHER_ENTRYPOINT=handler.js",
        "HOME=/tmp",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    }
    assert guest.wait() == 0


def test_a_functions_own_path_and_home_are_kept(guest):
    guest.start("/usr/bin/env", env={"PATH": "/x", "HOME": "/y"})
    _, lines = guest.until("E")
    assert {"PATH=/x", "HOME=/y"} <= {text for _, text in lines}


def test_ready_is_told_when_the_port_is_listened_on(guest):
    listen(guest)
    ready, _ = guest.until("R")
    assert ready["uptime_ms"] > 0
    guest.send("W")
    status = guest.expect("S")
    assert status == {
        "protocol": 1,
        "state": "ready",
        "instance_id": "i-1",
        "function_id": "fn-1",
        "port": 3000,
    }


def test_a_listener_on_loopback_is_not_ready_and_the_log_says_why(guest):
    listen(guest, "127.0.0.1", then="print('listening', flush=True); sys.stdin.read(); signal.pause()")
    stream, line = guest.line("loopback")
    assert stream == "a"
    assert "0.0.0.0:3000" in line
    guest.send("W")
    status, _ = guest.until("S")
    assert status["state"] == "starting"


def test_another_port_is_not_ready(guest):
    then = """
t = socket.socket()
t.bind(("0.0.0.0", 4000))
t.listen()
s.close()
print("on", flush=True)
signal.pause()
"""
    guest.start("/usr/bin/python3", "-c", LISTEN.format(then=then), "127.0.0.1")
    guest.line("on")
    guest.send("W")
    status, _ = guest.until("S")
    assert status["state"] == "starting"


def test_output_comes_as_whole_lines_in_order_and_by_stream(guest):
    guest.shell("printf 'a\\nb'; printf 'c\\n\\nlast'; printf 'wrong\\n' >&2")
    ended, lines = guest.until("E")
    assert ended["code"] == 0
    assert [text for stream, text in lines if stream == "1"] == ["a", "bc", "", "last"]
    assert [text for stream, text in lines if stream == "2"] == ["wrong"]


def test_an_unfinished_line_comes_out_before_its_function_ends(guest):
    guest.shell("printf 'Password: '; sleep 1000")
    assert guest.line("Password") == ("1", "Password: ")


def test_a_long_line_is_cut_into_pieces_and_nothing_is_lost(guest):
    guest.start("/usr/bin/python3", "-c", "print('x' * 40000); print('y')")
    _, lines = guest.until("E")
    assert [len(text) for _, text in lines] == [16384, 16384, 40000 - 2 * 16384, 1]


def test_much_output_arrives_whole_from_a_function_faster_than_its_host(guest):
    guest.start("/usr/bin/python3", "-c", "for i in range(100000): print('line', i)")
    _, lines = guest.until("E")
    assert [text for _, text in lines] == [f"line {i}" for i in range(100000)]


def test_bytes_that_are_no_utf8_pass_unchanged(guest):
    guest.shell("printf '\\377\\376\\n'")
    kind, payload = guest.receive()
    assert (kind, payload) == ("L", b"1\xff\xfe")


@pytest.mark.parametrize(
    ("script", "code", "number", "words"),
    [
        ("exit 3", 3, None, "code 3 before it listened"),
        ("kill -SEGV $$", None, signal.SIGSEGV, "SIGSEGV"),
        ("kill -KILL $$", None, signal.SIGKILL, "SIGKILL"),
    ],
)
def test_the_end_tells_code_or_signal(guest, script, code, number, words):
    guest.shell(script)
    ended, _ = guest.until("E")
    assert (ended["reason"], ended["code"], ended["signal"]) == ("exited", code, number)
    assert words in ended["detail"]
    assert guest.wait() == 0


def test_output_printed_right_before_the_end_is_not_lost_to_a_background_process(guest):
    guest.shell("sleep 1000 & echo started; exit 0")
    ended, lines = guest.until("E")
    assert ended["code"] == 0
    assert ("1", "started") in lines


def test_orphans_are_reaped(guest):
    script = """
import os, time
for _ in range(20):
    if os.fork() == 0:
        os.fork()
        os._exit(0)
    os.wait()
deadline = time.monotonic() + 10
while (left := len([p for p in os.listdir("/proc") if p.isdigit()]) - 2) and time.monotonic() < deadline:
    time.sleep(0.01)
print("left", left)
"""
    guest.start("/usr/bin/python3", "-c", script)
    _, lines = guest.until("E")
    assert lines == [("1", "left 0")]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'FATAL ERROR: JavaScript heap out of memory' >&2; kill -ABRT $$", "out_of_memory"),
        ("echo \"instance of 'std::bad_alloc'\" >&2; exit 134", "out_of_memory"),
        ("echo 'JavaScript heap out of memory'; kill -ABRT $$", "exited"),
        ("echo 'JavaScript heap out of memory' >&2; exit 1", "exited"),
        ("kill -ABRT $$", "exited"),
    ],
)
def test_a_runtime_that_gives_up_for_lack_of_memory_is_told_apart_from_a_crash(guest, script, reason):
    guest.start("/bin/sh", "-c", script)
    ended, _ = guest.until("E")
    assert ended["reason"] == reason


def test_terminate_lets_the_function_finish(guest):
    listen(
        guest, then="signal.signal(15, lambda *_: (print('bye', flush=True), sys.exit(7))); signal.pause()"
    )
    guest.until("R")
    guest.send("T", b"10000")
    ended, lines = guest.until("E")
    assert ended["code"] == 7
    assert ("1", "bye") in lines


def test_terminate_kills_the_whole_group_after_the_grace(guest):
    listen(
        guest, then="signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"
    )
    guest.line("deaf")
    guest.send("T", b"50")
    ended, _ = guest.until("E")
    assert ended["signal"] == signal.SIGKILL


def test_terminate_before_the_function_ends_the_guest(guest):
    guest.connect()
    guest.expect("H")
    guest.send("T", b"0")
    assert guest.expect("E")["detail"] == "ended before there was a function"
    assert guest.wait() == 0


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["/nowhere"], "can't run /nowhere: No such file"),
        (["/etc/passwd"], "can't run /etc/passwd: Permission denied"),
    ],
)
def test_a_command_that_cannot_run_is_a_failed_boot(guest, command, words):
    guest.start(*command)
    ended, _ = guest.until("E")
    assert ended["reason"] == "boot_failed"
    assert words in ended["detail"]
    assert words in guest.console_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"metadata": None}, "no object `metadata`"),
        ({"command": []}, "`command`"),
        ({"command": "/bin/sh"}, "`command`"),
        ({"command": ["relative"]}, "`command`"),
        ({"user": "root"}, "`user`"),
        ({"user": -1}, "`user`"),
        ({"instance_id": 5}, "`instance_id`"),
    ],
)
def test_wrong_metadata_is_a_failed_boot_that_says_what_is_wrong(guest, change, words):
    guest.connect()
    guest.expect("H")
    guest.send("M", {**guest.metadata("/bin/true"), **change})
    ended = guest.expect("E")
    assert ended["reason"] == "boot_failed"
    assert words in ended["detail"]


@pytest.mark.parametrize("env", [{"A=B": "1"}, {"": "1"}, {"A": "x\0y"}, {"A": 1}, [], {"A": "\ud800"}])
def test_an_impossible_variable_is_a_failed_boot(guest, env):
    guest.start("/bin/true", env=env)
    ended = guest.expect("E")
    assert ended["reason"] == "boot_failed"


def test_a_token_that_does_not_match_ends_the_boot(guest):
    guest.start("/bin/sh", "-c", "echo never", token="another")
    ended, lines = guest.until("E")
    assert ended["reason"] == "token_mismatch"
    assert lines == []
    assert "token does not match" in guest.console_text()
    assert guest.wait() == 0


def test_a_function_runs_without_the_agents_rights(privileged_guest):
    script = """
grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs)' /proc/self/status
cat /proc/self/oom_score_adj
ulimit -n
pwd
echo again > /dev/stdout
ps -o pid=,sid=,pgid= -p $$
"""
    privileged_guest.shell(script, user=1000, group=1000)
    ended, lines = privileged_guest.until("E")
    assert ended["code"] == 0, lines
    texts = [text for _, text in lines]
    status = {k: v.split() for k, _, v in (t.partition(":") for t in texts) if v}
    assert status["Uid"] == status["Gid"] == ["1000"] * 4
    assert status["Groups"] == []
    assert {status[name][0] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == ["1"]
    files = min(65536, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert texts[-5:-1] == ["500", str(files), "/code", "again"]
    pid, session, group = texts[-1].split()
    assert pid == session == group


def test_root_is_kept_by_a_function_that_is_to_have_it(privileged_guest):
    privileged_guest.shell("id -u; grep CapEff /proc/self/status")
    _, lines = privileged_guest.until("E")
    assert lines[0] == ("1", "0")
    assert int(lines[1][1].split()[1], 16) != 0


def test_a_function_cannot_see_outside_its_root(guest):
    (guest.folder / "secret").write_text("x")
    guest.shell(f"cat {guest.folder}/secret")
    ended, lines = guest.until("E")
    assert ended["code"] == 1
    assert "No such file" in lines[0][1]
