"""`aether db`: the database is brought up to date, and another one taken over."""

import asyncio
import json
import sqlite3

import pytest
from tests.databases import new_database
from tests.postgres import postgres_server
from tests.seed_database import make

from aether.cli.failures import ExitCode
from aether.cli.main import main

__all__ = ["postgres_server"]


@pytest.fixture
def aether(capfd, monkeypatch, tmp_path):
    """Runs a command in a folder with a data directory of its own: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AETHER_DATA_DIR", str(tmp_path / "data"))

    def run(*words):
        capfd.readouterr()
        code = main(["db", *map(str, words)])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        assert "only-for-tests" not in out + err
        return code, out, err

    return run


def test_database_at_a_server_is_made_once(aether, monkeypatch, postgres_server):
    monkeypatch.setenv("AETHER_DATABASE_URL", asyncio.run(new_database(postgres_server)))
    code, _, said = aether("migrate")
    assert code == ExitCode.OK
    assert "PostgreSQL at postgresql://aether:****@" in said
    assert "now." in said
    code, _, said = aether("migrate")
    assert (code, "is up to date" in said) == (ExitCode.OK, True)


def test_database_of_the_system_before_is_taken_over_where_it_is(aether, monkeypatch, tmp_path):
    file = make(tmp_path / "seed.db", {"id": "fn-a", "name": "hello"}, {"id": "fn-b", "name": "hello"})
    monkeypatch.setenv("DB_PATH", str(file))
    code, out, _ = aether("migrate", "--json")
    told = json.loads(out)
    assert code == ExitCode.OK
    assert told["from"] == ""
    assert told["renamed"] == {"fn-b": ["hello", "hello-2"]}
    assert json.loads(aether("migrate", "--json")[1]) == told | {"from": told["to"], "renamed": {}}


def test_functions_of_a_file_are_taken_over_once(aether, tmp_path):
    functions = [{"id": f"fn-{n}", "name": "hello", "code_path": "function-code/x/code.ext4"} for n in "ab"]
    file = make(tmp_path / "seed.db", *functions, calls=2)
    code, out, said = aether("adopt", file)
    assert code == ExitCode.OK
    assert out.splitlines()[2].split() == [
        *("fn-b", "hello-2", "taken", "hello"),
        *("code.ext4,", "whatever", "that", "is"),
    ]
    assert said == "2 of 2 functions and 2 records of calls taken over.\n"
    code, out, said = aether("adopt", file, "--json")
    told = json.loads(out)
    assert [f["outcome"] for f in told["functions"]] == ["there already"] * 2
    assert told["calls"] == 0


@pytest.mark.parametrize("content", [None, b"no" * 5000])
def test_what_is_no_database_is_refused(aether, tmp_path, content):
    file = tmp_path / "file"
    if content:
        file.write_bytes(content)
    code, _, said = aether("adopt", file)
    assert code == ExitCode.USAGE
    assert str(file) in said


def test_database_is_not_taken_over_into_itself(aether, tmp_path):
    assert aether("migrate")[0] == ExitCode.OK
    code, _, said = aether("adopt", tmp_path / "data" / "aether.db")
    assert code == ExitCode.USAGE
    assert "aether db migrate" in said


def test_database_of_a_newer_version_is_told(aether, tmp_path):
    aether("migrate")
    with sqlite3.connect(tmp_path / "data" / "aether.db") as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    code, _, said = aether("migrate")
    assert code == ExitCode.REFUSED
    assert "newer version of Aether" in said


def test_server_that_refuses_is_told_by_its_setting(aether, monkeypatch, postgres_server):
    monkeypatch.setenv("AETHER_DATABASE_URL", postgres_server.url_of("none"))
    code, _, said = aether("migrate")
    assert code == ExitCode.STORE
    assert "AETHER_DATABASE_URL" in said
    assert "createdb" in said
