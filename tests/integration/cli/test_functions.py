"""Functions from the command line: deploy, list, describe, rm."""

import json
import time
import zipfile

import pytest

from aether.cli import client
from aether.cli.connection import Connection


def test_deploy_creates_a_function_that_can_be_called(aether, folder):
    deployed = aether("deploy", str(folder))
    assert deployed.code == 0
    assert "Created my-shop-v2 (fn-" in deployed.out
    assert "aether invoke my-shop-v2" in deployed.out
    called = aether("invoke", "my-shop-v2")
    assert called.code == 0
    assert called.json["path"] == "/"
    assert aether("rm", "my-shop-v2").code == 0


def test_deploying_again_updates_and_keeps_what_is_not_said(aether, hello, folder):
    first = aether(
        "deploy", str(folder), "-n", hello, "-e", "A=1", "-e", "B=2", "--memory", "256", "--json"
    ).json
    assert not first["created"]
    again = aether("deploy", str(folder), "-n", hello, "-e", "C=3=4", "--unset-env", "A", "--json").json
    function = again["function"]
    assert function["id"] == first["function"]["id"]
    assert function["env_vars"] == {"B": "2", "C": "3=4"}
    assert function["memory_mb"] == 256
    assert again["code"]["sha256"] == first["code"]["sha256"], "the same folder makes the same image"
    assert again["url"].endswith(f"/functions/{hello}/")


def test_every_option_reaches_the_function(aether, hello, folder, monkeypatch):
    monkeypatch.setenv("FROM_SHELL", "kept")
    (folder / "src").mkdir()
    (folder / "src/main.js").write_text("1\n")
    options = (
        "--entrypoint src/main.js --vcpu 2 --port 8000 --timeout 12.5 --max-concurrency 5 --min-instances 0"
    )
    words = ["deploy", str(folder), "-n", hello, *options.split(), "--max-instances", "4", "-e", "FROM_SHELL"]
    function = aether(*words, "--json").json["function"]
    wanted = {
        "entrypoint": "src/main.js", "vcpu": 2, "port": 8000, "timeout_s": 12.5, "max_concurrency": 5,
        "min_instances": 0, "max_instances": 4, "env_vars": {"FROM_SHELL": "kept"},
    }  # fmt: skip
    assert {name: function[name] for name in wanted} == wanted


def test_options_for_queues_streams_and_idle_instances_reach_the_function(aether, hello, folder):
    options = (
        "--max-waiting 0 --target-concurrency 2 --idle-timeout 5.5 --max-stream 60 "
        "--instance-idle-timeout 10 --scale-to-zero-after 20 --keep-alive learned --max-starts-in-flight 3"
    )
    function = aether("deploy", str(folder), "-n", hello, *options.split(), "--json").json["function"]
    wanted = {
        "max_waiting": 0, "target_concurrency": 2, "idle_timeout_s": 5.5, "max_stream_s": 60,
        "instance_idle_timeout_s": 10, "scale_to_zero_after_s": 20, "keep_alive": "learned",
        "max_starts_in_flight": 3,
    }  # fmt: skip
    assert {name: function[name] for name in wanted} == wanted


def test_refused_upload_leaves_an_existing_function_as_it_was(aether, hello, tmp_path):
    before = aether("describe", hello, "--json").json["function"]
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("handler.js", "1")
        archive.writestr("../outside.js", "1")
    refused = aether("deploy", str(hostile), "-n", hello, "--memory", "512", "-e", "X=1")
    assert (refused.code, refused.out) == (1, "")
    assert "outside.js" in refused.err
    after = aether("describe", hello, "--json").json["function"]
    changing = {"revision", "updated_at", "rollout"}
    assert {k: v for k, v in after.items() if k not in changing} == {
        k: v for k, v in before.items() if k not in changing
    }
    assert aether("invoke", hello).code == 0


def test_refused_upload_of_a_new_function_leaves_none(aether, tmp_path):
    hostile = tmp_path / "new.zip"
    with zipfile.ZipFile(hostile, "w") as archive:
        archive.writestr("handler.js", "1")
        archive.writestr("/etc/passwd", "1")
    assert aether("deploy", str(hostile)).code == 1
    assert aether("describe", "new").code == 1


def test_fields_out_of_bounds_are_named(aether, folder):
    refused = aether("deploy", str(folder), "--memory", "1")
    assert refused.code == 1
    assert "memory_mb: " in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--env", "NOT_IN_THIS_SHELL"], "NOT_IN_THIS_SHELL"),
        (["--memory", "lots"], "--memory"),
        (["--entrypiont", "x"], "--entrypoint"),
    ],
)
def test_wrong_usage_is_told_with_exit_code_2(aether, folder, words, told):
    wrong = aether("deploy", str(folder), *words)
    assert (wrong.code, wrong.out) == (2, "")
    assert told in wrong.err


def test_name_that_no_function_can_have_asks_for_one(aether, tmp_path):
    (tmp_path / "___").mkdir()
    wrong = aether("deploy", str(tmp_path / "___"))
    assert wrong.code == 2
    assert "--name" in wrong.err


def test_list_shows_all_pages(aether, platform):
    names = [f"many-{number}" for number in range(5)]
    with Connection(platform.url, data_dir=platform.data_dir).open() as api:
        for name in names:
            api.create({"name": name, "runtime": "node"})
        page, client.PAGE = client.PAGE, 2
        try:
            listed = aether("list", "--json")
            table = aether("list")
        finally:
            client.PAGE = page
    assert [function["name"] for function in listed.json if function["name"] in names] == names
    assert table.out.splitlines()[0].split() == ["NAME", "RUNTIME", "MEMORY", "STATE", "UPDATED", "ID"]
    assert "no code" in next(line for line in table.out.splitlines() if line.startswith("many-0 "))
    assert aether("rm", *names).code == 0
    assert not {function["name"] for function in aether("list", "--json").json} & set(names)


def test_describe_shows_instances_and_calls_but_no_secrets(aether, hello, folder):
    aether("deploy", str(folder), "-n", hello, "-e", "TOKEN=s3cret")
    aether("invoke", hello)
    shown = aether("describe", hello)
    assert shown.code == 0
    assert "TOKEN" in shown.out
    assert "s3cret" not in shown.out
    assert "inst-" in shown.out
    assert "\x1b" not in shown.out, "no colour where there is no terminal"
    whole = aether("describe", hello, "--json").json
    assert set(whole) == {"function", "instances", "invocations"}
    assert whole["function"]["env_vars"] == {"TOKEN": "s3cret"}


def test_list_shows_what_serves_and_what_does_not_start(aether, hello, folder):
    aether("deploy", str(folder), "-n", "broken", "-e", "FAILS_TO_START=1")
    states = {line.split()[0]: line.split()[4] for line in aether("list").out.splitlines()[1:]}
    assert (states[hello], states["broken"]) == ("ready", "failed")
    assert aether("rm", "broken").code == 0


def test_describe_shows_how_calls_ended(aether, hello, folder):
    aether("invoke", hello, "-H", "x-simulated-status: 418")
    aether("deploy", str(folder), "-n", "broken", "-e", "FAILS_TO_START=1")
    aether("invoke", "broken")
    answered = calls_of(aether, hello)[0].split()
    assert answered[1:3] == ["success", "418"]
    assert len(answered) == 6, "nothing to remark"
    failed = calls_of(aether, "broken")[0]
    recorded = aether("describe", "broken", "--json").json["invocations"][0]
    assert failed.split()[1:3] == ["error", str(recorded["http_status"])]
    assert recorded["error_message"]
    assert failed.endswith("  " + recorded["error_message"].splitlines()[0])
    assert aether("rm", "broken").code == 0


def calls_of(aether, name) -> list[str]:
    """The lines of `aether describe` for calls, when there is one; they are recorded after they ended."""
    give_up_at = time.monotonic() + 10
    while time.monotonic() < give_up_at:
        lines = aether("describe", name).out.splitlines()
        found = [number for number, line in enumerate(lines) if line.startswith("CALL ")]
        if found:
            return lines[found[0] + 1 :]
    raise AssertionError(f"no call of {name} was recorded")


def test_rm_tries_every_name(aether, hello):
    removed = aether("rm", "not-there", hello)
    assert removed.code == 1
    assert f"Removed {hello}." in removed.err
    assert "not-there" in removed.err
    assert aether("rm", hello, "--ignore-missing").code == 0
    assert json.dumps(hello) not in aether("list", "--json").out
