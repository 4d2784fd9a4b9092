"""`aether setup` and `doctor`, on this machine as it is."""

import json
import os

from aether.cli.main import main
from aether.cli.paths import default_cache_dir


def test_doctor_names_what_is_missing_and_its_fix(capsys, tmp_path):
    assert main(["doctor", "--json", "--cache-dir", str(tmp_path)]) == 1
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)}
    assert checks["images"]["level"] == "fail"
    assert "aether setup" in checks["images"]["fix"]
    assert main(["doctor", "--cache-dir", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    shown = next(number for number, line in enumerate(lines) if line.startswith("FAIL  images"))
    assert "fix: " in lines[shown + 1]


def test_setup_that_has_nothing_to_do_says_where_everything_is(capsys):
    # The suite's own set-up has filled the user's cache.
    assert main(["setup"]) == 0
    out, err = capsys.readouterr()
    assert os.environ.get("AETHER_CACHE_DIR", str(default_cache_dir())) in out + err


def test_doctor_is_content_after_set_up(capsys):
    assert main(["doctor"]) == 0
    assert "FAIL" not in capsys.readouterr().out


def test_wrong_settings_are_told_by_name(capsys, monkeypatch):
    monkeypatch.setenv("AETHER_AUTH", "maybe")
    assert main(["setup"]) == 2
    assert "AETHER_AUTH" in capsys.readouterr().err
