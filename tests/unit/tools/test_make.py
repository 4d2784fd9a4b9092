import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_make_alone_lists_every_target():
    listed = subprocess.run(["make", "-C", ROOT], capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"venv", "setup", "demo", "test"} <= targets
    assert targets == {line.split()[0] for line in listed.splitlines() if line.startswith("  ")}


def test_results_are_added_up(tmp_path):
    (tmp_path / "a.xml").write_text(
        '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/></testsuites>'
    )
    (tmp_path / "b.xml").write_text(
        '<testsuites><testsuite tests="3" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    script = ROOT / "tools" / "test_summary.py"
    ran = subprocess.run(
        ["python3", script, tmp_path / "a.xml", tmp_path / "b.xml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == "5 passed, 2 failed, 1 skipped\n"


def test_faults_are_told_before(tmp_path):
    (tmp_path / "a.xml").write_text('<testsuite tests="1" failures="0" errors="0" skipped="0"/>')
    figures = {"sent": 9, "answered": 7, "platform_errors": 2, "lost": 0, "wrong": 0, "cut": 1}
    (tmp_path / "faults.json").write_text(json.dumps({"scenarios": [figures, figures]}))
    script = ROOT / "tools" / "test_summary.py"
    ran = subprocess.run(
        ["python3", script, "--faults", tmp_path / "faults.json", tmp_path / "a.xml"],
        capture_output=True,
        text=True,
        check=True,
    )
    told, last = ran.stdout.splitlines()
    assert told == "faults: 2 scenarios, 18 sent, 14 answered, 4 platform errors, 0 lost, 0 wrong, 2 cut"
    assert last == "1 passed, 0 failed, 0 skipped"


def test_scripts_parse():
    for script, shell in (("tools/make-venv.sh", "sh"), ("tools/s3-server.sh", "sh"), (".ci/run", "bash")):
        subprocess.run([shell, "-n", ROOT / script], check=True)
