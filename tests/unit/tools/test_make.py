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


def test_scripts_parse():
    for script, shell in (("tools/make-venv.sh", "sh"), (".ci/run", "bash")):
        subprocess.run([shell, "-n", ROOT / script], check=True)
