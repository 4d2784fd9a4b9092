"""The command as a process: how fast it starts, how it ends, what it says of itself."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from aether.cli.commands.deploy import name_from
from aether.cli.failures import WrongUsage
from aether.cli.main import COMMANDS, main
from aether.cli.output import printable, size

AETHER = (sys.executable, "-m", "aether.cli")
UNREACHED = {"AETHER_URL": "http://127.0.0.1:1"}


def run(*words, **environment):
    return subprocess.run(
        [*AETHER, *words], capture_output=True, text=True, env={**os.environ, **environment}, check=False
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list", "--help"]])
def test_help_loads_nothing_slow(words):
    script = f"import sys; from aether.cli.main import main; main({words}); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert not loaded & {
        "httpx",
        "pydantic",
        "fastapi",
        "sqlalchemy",
        "asyncio",
        "uvloop",
        "tarfile",
        "structlog",
    }


def test_every_command_is_in_the_help_and_has_its_own_with_an_example(capsys):
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    for _, where, name, summary in COMMANDS:
        assert name in overview
        assert summary.split(".")[0].split()[0] in overview
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        if where.startswith("aether.cli.commands.") and name != "runtime":  # whose commands have theirs
            assert f"aether {name}" in shown.split("Examples", 1)[1]


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lst"], "Did you mean: aether list"),
        (["zzzzzz"], "aether --help"),
        (["describe"], "aether describe --help"),
        (["runtime", "lst"], "list"),
        (["list", "extra"], "extra"),
        (["invoke", "x", "--jsn"], "--jsn"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(capsys, words, told):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "Traceback" not in err


def test_reader_that_goes_away_is_no_error_to_speak_of():
    # Enough output that the pipe is full before the reader is gone.
    script = "import sys; from aether.cli import main; sys.exit(main.main(['completion', 'bash']))"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        ran.stdout.close()
        err = ran.stderr.read()
        assert (ran.wait(), err) == (141, b"")


def test_defect_is_told_without_a_traceback_unless_asked_for(tmp_path):
    (tmp_path / "httpx.py").write_text("raise RuntimeError('broken')")
    told = run("list", PYTHONPATH=str(tmp_path), **UNREACHED)
    assert told.returncode == 70
    assert "Internal error: RuntimeError: broken" in told.stderr
    assert "Traceback" not in told.stderr
    assert "Traceback" in run("list", PYTHONPATH=str(tmp_path), AETHER_DEBUG="1", **UNREACHED).stderr


def on_terminal(*words, **environment):
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", **UNREACHED, **environment}
    with subprocess.Popen([*AETHER, *words], stdin=its, stdout=its, stderr=its, env=environment) as ran:
        os.close(its)
        written = b""
        try:
            while piece := os.read(ours, 65536):
                written += piece
        except OSError:
            pass  # how Linux says that nobody has the other end any more
        os.close(ours)
    assert ran.returncode == 3
    return written.decode()


def test_colour_is_for_terminals_without_no_color():
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    assert "\x1b[1maether:" in on_terminal("list", **environment, NO_COLOR="")
    assert "\x1b" not in on_terminal("list", NO_COLOR="1")
    assert "\x1b" not in run("list", **UNREACHED).stderr


@pytest.mark.parametrize(
    ("shell", "check"), [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])]
)
def test_completion_names_every_command(capsys, tmp_path, shell, check):
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    for _, _, name, _ in COMMANDS:
        assert name in script
    (tmp_path / "script").write_text(script)
    try:
        subprocess.run([*check, tmp_path / "script"], check=True)
    except FileNotFoundError:
        assert shell != "bash", "only bash is everywhere"


def test_bash_completes_commands(capsys):
    main(["completion", "bash"])
    probe = (
        "COMP_WORDS=(aether inv); COMP_CWORD=1; COMP_LINE='aether inv'; COMP_POINT=10\n"
        "function=$(complete -p aether | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        "$function aether inv aether; echo ${COMPREPLY[@]}"
    )
    ran = subprocess.run(
        ["bash", "-c", capsys.readouterr().out + "\n" + probe], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["invoke"]


def test_completion_is_installed_for_the_shell(tmp_path):
    home = {"HOME": str(tmp_path), "SHELL": "/bin/bash"}
    done = run("completion", "install", **home)
    assert done.returncode == 0, done.stderr
    path = tmp_path / ".local/share/bash-completion/completions/aether"
    assert str(path) in done.stderr
    assert "complete" in path.read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("hello-node", "hello-node"),
        ("My Shop_v2", "my-shop-v2"),
        ("  x--y ", "x-y"),
        ("a" * 80, "a" * 63),
        ("v1.2", "v1-2"),
    ],
)
def test_folder_names_become_dns_labels(tmp_path, name, expected):
    (tmp_path / name).mkdir()
    assert name_from(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("shop.tar.gz", "shop"), ("Shop.ZIP", "shop"), ("greet.mjs", "greet")]
)
def test_file_names_lose_their_ending(tmp_path, name, expected):
    (tmp_path / name).touch()
    assert name_from(tmp_path / name) == expected


def test_name_that_would_look_like_an_id_is_not_made(tmp_path):
    with pytest.raises(WrongUsage, match="no name"):
        name_from(tmp_path / "fn-1")


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x1b]0;title\x07b\x1b]52;c;x\x1b\\c", "abc"),
        ("a\x1b[2Jb\x1b[10;5Hc\x1b[?1049h", "abc"),
        ("\x1b[1;31mred\x1b[0m\ttab\nline", "\x1b[1;31mred\x1b[0m\ttab\nline"),
        ("carriage\rreturn\x00\x9b5A\x1b", "carriagereturn5A"),
        ("\x1bcreset", "creset"),
    ],
)
def test_terminal_is_safe_from_what_strangers_print(hostile, shown):
    assert printable(hostile) == shown


def test_amounts_are_readable():
    assert [size(n) for n in (0, 1023, 1536, 5 * 2**20, 2**41)] == [
        "0 B",
        "1023 B",
        "1.5 kB",
        "5.0 MB",
        "2.0 TB",
    ]


@pytest.mark.parametrize("page", ["cli", "settings"])
def test_documentation_is_what_the_code_says(page):
    from aether.cli import reference  # noqa: PLC0415 - imports every command

    written = (Path(__file__).parents[3] / f"docs/{page}.md").read_text()
    assert written == getattr(reference, f"{page}_page")(), "run: python -m aether.cli.reference docs"
