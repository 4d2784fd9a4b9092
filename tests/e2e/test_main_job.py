"""Deploy a function, call it, and a real microVM answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.e2e.conftest import REPOSITORY, until

from aether.images.tools import BuildTools

pytestmark = pytest.mark.vm

HELLO = """
module.exports = (req, res) => {
  console.log('called', req.url)
  res.setHeader('x-mine', '1')
  res.end(JSON.stringify({ method: req.method, url: req.url, env: process.env, user: process.getuid() }))
}
"""


def test_cold_then_warm_by_the_same_instance_as_an_ordinary_user(up):
    up.deploy("hello", {"handler.js": HELLO}, "--env", "GREETING=hi")
    cold = up.call("hello", "/a?b=1", method="POST", content=b"x")
    warm = up.call("hello")
    assert (cold.status_code, warm.status_code) == (200, 200)
    assert cold.headers["x-mine"] == "1"
    assert "boot;dur=" in cold.headers["server-timing"]
    assert "boot" not in warm.headers["server-timing"]
    seen = cold.json()
    assert (seen["method"], seen["url"], seen["env"]["GREETING"]) == ("POST", "/a?b=1", "hi")
    assert seen["user"] == 1000
    assert seen["env"]["AETHER_INSTANCE"] == warm.json()["env"]["AETHER_INSTANCE"]
    assert up.instances("hello")[0]["instance_id"] == seen["env"]["AETHER_INSTANCE"]


def test_the_platform_and_its_qemu_run_without_root(up):
    up.deploy("rootless", {"handler.js": HELLO})
    assert up.call("rootless").status_code == 200
    for process in (up.process.pid, *up.vms()):
        status = Path(f"/proc/{process}/status").read_text()
        uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
        assert uids == [str(up.user.uid)] * 4
        assert up.user.uid != 0
    assert up.vms()


def test_what_a_call_prints_is_found_by_its_call_id(up):
    up.deploy("printing", {"handler.js": HELLO})
    call_id = up.call("printing", "/printed").headers["x-call-id"]
    up.call("printing", "/other")
    shown = up.aether("logs", "printing", "--call-id", call_id).stdout
    assert "called /printed" in shown
    assert "called /other" not in shown


def test_an_exception_is_500_with_the_call_id_and_the_instance_goes_on(up):
    up.deploy(
        "throwing",
        {"handler.js": "module.exports = (q, s) => { if (q.url == '/bad') throw Error('no'); s.end('ok') }"},
    )
    bad = up.call("throwing", "/bad")
    good = up.call("throwing")
    assert (bad.status_code, good.status_code) == (500, 200)
    assert bad.json()["error"]["call_id"] == bad.headers["x-call-id"]
    assert len(up.instances("throwing")) == 1


def test_a_program_that_listens_by_itself(up):
    program = "require('http').createServer((q, s) => s.end('self')).listen(process.env.PORT)"
    up.deploy("program", {"handler.js": program})
    assert up.call("program").text == "self"


def test_an_esm_handler(up):
    up.deploy(
        "esm",
        {"handler.mjs": "export default (request) => new Response('esm ' + new URL(request.url).pathname)"},
        "--entrypoint",
        "handler.mjs",
    )
    assert up.call("esm", "/p").text == "esm /p"


def test_code_that_does_not_start_is_502_with_the_consoles_last_lines(up):
    up.deploy("broken", {"handler.js": "throw new Error('at load')"})
    answer = up.call("broken")
    assert answer.status_code == 502
    error = answer.json()["error"]
    assert error["code"] == "instance_failed"
    assert "at load" in error["hint"]


def test_new_code_serves_the_next_call_and_broken_code_leaves_the_old_one(up):
    up.deploy("changing", {"handler.js": "module.exports = (q, s) => s.end('one')"})
    assert up.call("changing").text == "one"
    up.deploy("changing", {"handler.js": "module.exports = (q, s) => s.end('two')"})
    assert up.call("changing").text == "two"
    up.deploy("changing", {"handler.js": "throw new Error('three')"})
    assert up.call("changing").text == "two"


def test_to_zero_and_back_with_real_machines(up):
    up.deploy("sleepy", {"handler.js": HELLO})
    changed = up.http.put(
        "/api/functions/sleepy", json={"scale_to_zero_after_s": 1, "instance_idle_timeout_s": 1}
    )
    assert changed.status_code == 200
    first = up.call("sleepy").json()["env"]["AETHER_INSTANCE"]
    until(lambda: not up.instances("sleepy"))
    second = up.call("sleepy").json()["env"]["AETHER_INSTANCE"]
    assert first != second


def test_json_output_is_for_scripts(up):
    up.deploy("scripted", {"handler.js": HELLO})
    listed = json.loads(up.aether("list", "--json").stdout)
    assert "scripted" in {row["name"] for row in listed}
    missing = up.aether("invoke", "nobody", check=False)
    assert missing.returncode == 1
    assert "nobody" in missing.stderr


def test_an_express_application_with_its_node_modules(up, images):
    source = REPOSITORY / "examples" / "express-app"
    folder = up.data_dir.parent / "express-app"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("node_modules"))
    node = BuildTools(images).node
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    install = [str(node), str(npm), "ci", "--no-audit", "--no-fund", "--omit=dev"]
    subprocess.run(install, cwd=folder, check=True, capture_output=True)
    assert (folder / "node_modules" / "express" / "package.json").is_file()
    deployed = up.aether("deploy", str(folder), "--name", "express-app")
    assert "Its first instance was ready after" in deployed.stderr
    answer = up.call("express-app")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-powered-by"] == "Express"
