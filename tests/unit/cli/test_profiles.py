"""Profiles: what is kept, who may read it, and which platform a command ends up with."""

import io
import json
import stat

import pytest

from aether.cli.connection import DEFAULT_URL, Connection
from aether.cli.failures import Refused, WrongUsage
from aether.cli.main import main
from aether.cli.profiles import Profile, Profiles, read_profiles, write_profiles


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path, monkeypatch):
    for name in ("AETHER_URL", "AETHER_KEY", "AETHER_PROFILE", "AETHER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture
def file(tmp_path):
    (tmp_path / "config/aether").mkdir(parents=True)
    return tmp_path / "config/aether/config.toml"


@pytest.fixture
def two():
    return write_profiles(
        Profiles("prod", {"prod": Profile("https://prod", key="k-prod"), "dev": Profile("http://dev")})
    )


@pytest.mark.parametrize("text", ["plain", 'a"b\\c', "tab\tand\nline", "Grüße 🌍", "\x7f"])
def test_what_is_written_is_read_again(text):
    profiles = Profiles("a", {"a": Profile("http://a", key=text), "B_2": Profile("http://b", key_file=text)})
    write_profiles(profiles)
    assert read_profiles() == profiles


def test_file_is_for_its_owner_only(two):
    assert stat.S_IMODE(two.stat().st_mode) == 0o600
    two.chmod(0o640)
    with pytest.raises(Refused, match="others can read it") as refused:
        read_profiles()
    assert "chmod 600" in refused.value.hint
    write_profiles(Profiles())
    assert stat.S_IMODE(two.stat().st_mode) == 0o600
    assert [path.name for path in two.parent.iterdir()] == ["config.toml"]


def test_file_without_keys_may_be_read_by_all(file):
    file.write_text('[profiles.dev]\nurl = "http://dev"\n')
    file.chmod(0o644)
    assert read_profiles().get("dev") == Profile("http://dev")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[profiles.a", "not TOML"),
        ("profiles = 1", "must be tables"),
        ("profile = 1", "must be the name"),
        ('other = "x"', "'other'"),
        ("[profiles.a]", "profiles.a needs a url"),
        ('[profiles.a]\nurl = "http://a"\nkye = "k"', "profiles.a.kye"),
        ("[profiles.a]\nurl = 1", "profiles.a.url must be text"),
        ('[profiles."a b"]\nurl = "http://a"', "'a b'"),
        (b"\xff", "not TOML"),
    ],
)
def test_file_that_is_wrong_is_told_in_a_sentence(file, capsys, text, told):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert told in err
    assert str(file) in err


def seen(**options):
    target = Connection(**options).target()
    return target.url, target.key, target.profile


def test_option_beats_environment_beats_profile_beats_default(two, monkeypatch):
    assert seen() == ("https://prod", "k-prod", "prod")
    monkeypatch.setenv("AETHER_PROFILE", "dev")
    assert seen() == ("http://dev", None, "dev")
    monkeypatch.setenv("AETHER_URL", "http://env")
    assert seen() == ("http://env", None, None)
    assert seen(profile="prod") == ("https://prod", "k-prod", "prod")
    assert seen(url="http://option") == ("http://option", None, None)
    monkeypatch.delenv("AETHER_URL")
    monkeypatch.delenv("AETHER_PROFILE")
    write_profiles(Profiles())
    assert seen() == (DEFAULT_URL, None, None)


def test_keys_come_by_the_same_order(two, monkeypatch):
    monkeypatch.setenv("AETHER_KEY", "k-env")
    assert seen() == ("https://prod", "k-env", "prod")
    assert seen(profile="prod") == ("https://prod", "k-prod", "prod")
    assert seen(profile="dev") == ("http://dev", "k-env", "dev")
    assert seen(profile="prod", key="k-option") == ("https://prod", "k-option", "prod")


def test_key_of_a_profile_goes_nowhere_else(two, monkeypatch, tmp_path):
    for url in ("https://prod", "http://elsewhere"):
        assert seen(url=url)[1] is None
        monkeypatch.setenv("AETHER_URL", url)
        assert seen()[1] is None


def test_key_of_this_machine_does_not_go_to_a_profile_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "data/aether").mkdir(parents=True)
    (tmp_path / "data/aether/api-key").write_text("k-here\n")
    write_profiles(Profiles(None, {"dev": Profile("http://dev"), "here": Profile("http://127.0.0.1:9")}))
    monkeypatch.setenv("AETHER_DATA_DIR", str(tmp_path / "data/aether"))
    assert seen(profile="dev") == ("http://dev", None, "dev")
    assert seen(profile="here") == ("http://127.0.0.1:9", "k-here", "here")


def test_key_file_is_read_at_each_use(tmp_path):
    path = tmp_path / "key"
    write_profiles(Profiles("a", {"a": Profile("http://a", key_file=str(path))}))
    with pytest.raises(Refused, match=str(path)):
        seen()
    path.write_text("k-file\n")
    assert seen() == ("http://a", "k-file", "a")


def test_profile_that_is_not_there_is_wrong_usage(two, monkeypatch):
    with pytest.raises(WrongUsage, match="'nope'") as wrong:
        seen(profile="nope")
    assert "dev, prod" in wrong.value.hint
    monkeypatch.setenv("AETHER_PROFILE", "nope")
    with pytest.raises(WrongUsage):
        seen()
    with pytest.raises(WrongUsage, match="--profile"):
        seen(url="http://a", profile="prod")


def run(capsys, *words):
    code = main(["profile", *words])
    return code, *capsys.readouterr()


def test_profiles_are_made_used_and_removed(capsys):
    assert run(capsys, "list")[1] == ""
    assert run(capsys, "set", "prod", "--url", "https://prod", "--key", "s3cret-of-prod")[0] == 0
    assert run(capsys, "set", "dev", "--url", "http://dev")[0] == 0
    assert run(capsys, "use", "prod")[0] == 0
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert [line.split() for line in out.splitlines()][2] == ["*", "prod", "https://prod", "given"]
    listed = run(capsys, "list", "--json")[1]
    assert "s3cret" not in out + listed
    assert [(entry["name"], entry["in_use"]) for entry in json.loads(listed)] == [
        ("dev", False),
        ("prod", True),
    ]
    assert run(capsys, "rm", "prod")[0] == 0
    assert read_profiles() == Profiles(None, {"dev": Profile("http://dev")})
    assert run(capsys, "use", "dev")[0] == 0
    assert run(capsys, "use")[0] == 0
    assert read_profiles().in_use is None


def test_key_can_come_from_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("k-typed\n"))
    assert run(capsys, "set", "prod", "--url", "https://prod", "--key", "-")[0] == 0
    assert read_profiles().get("prod").key == "k-typed"


def test_key_does_not_move_with_a_profile_to_another_platform(capsys, two):
    assert run(capsys, "set", "prod", "--url", "https://prod")[0] == 0
    assert read_profiles().get("prod").key == "k-prod"
    code, _, err = run(capsys, "set", "prod", "--url", "https://other")
    assert code == 0
    assert "The key of https://prod was dropped" in err
    assert read_profiles().get("prod") == Profile("https://other")


@pytest.mark.parametrize(
    "words",
    [
        ["set", "new"],
        ["set", "new", "--url", "localhost:8080"],
        ["set", "bad name", "--url", "http://a"],
        ["set", "new", "--url", "http://a", "--key", "a", "--key-file", "b"],
        ["set", "new", "--url", "http://a", "--key", "a\nb"],
        ["use", "nope"],
        ["rm", "nope"],
    ],
)
def test_wrong_use_changes_nothing(capsys, two, words):
    before = two.read_bytes()
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert err
    assert two.read_bytes() == before
