"""`.aetherignore`, held to what git itself does with the same rules."""

import shutil
import subprocess

import pytest

from aether.cli.failures import Refused
from aether.cli.ignore import DEFAULTS, Ignore

RULES = [
    "*.log",
    "!keep.log",
    "/only-top",
    "folder/",
    "a/b",
    "docs/**/*.md",
    "**/cache",
    "deep/**",
    "t?p",
    "x[0-9].txt",
    "y[!0-9].txt",
    r"\#literal",
    r"\!literal",
    "trailing   ",
    "# comment",
    "",
    "star*star",
    "mid**dle",
]
PATHS = [
    "a.log", "keep.log", "sub/a.log", "sub/keep.log", "only-top", "sub/only-top", "folder/x", "sub/folder/x",
    "plain/folder", "a/b", "sub/a/b", "docs/a.md", "docs/x/y/a.md", "docs/a.txt", "x/docs/a.md", "cache",
    "p/q/cache", "deep/x/y", "deeper", "top", "tp", "t/p", "x1.txt", "xa.txt", "ya.txt", "y1.txt",
    "#literal", "!literal", "literal", "trailing", "star-and-star", "star/star", "middle",
    "mid/dle", "midxdle",
]  # fmt: skip


def kept(paths, rules):
    """What of `paths` an upload would have: nothing in an ignored folder."""
    ignore = Ignore.of(rules)

    def stays(path):
        parts = path.split("/")
        above = ("/".join(parts[:n]) for n in range(1, len(parts)))
        return not any(ignore.ignores(p, folder=True) for p in above) and not ignore.ignores(
            path, folder=False
        )

    return {path for path in paths if stays(path)}


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git, which is not installed")
def test_same_files_as_git(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("\n".join(RULES) + "\n")
    asked = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", "--no-index", "--stdin"],
        input="\n".join(PATHS),
        capture_output=True,
        text=True,
        check=False,
    )
    ignored_by_git = {line.strip('"') for line in asked.stdout.splitlines()}
    assert len(ignored_by_git) > 10
    assert kept(PATHS, RULES) == set(PATHS) - ignored_by_git


def test_defaults_leave_out_what_no_function_needs_and_can_be_taken_back():
    paths = [
        ".git/HEAD",
        "lib/__pycache__/a.pyc",
        ".venv/x",
        ".DS_Store",
        ".env",
        "node_modules/express/index.js",
    ]
    assert kept(paths, []) == {".env", "node_modules/express/index.js"}
    assert ".git/HEAD" in kept(paths, ["!.git"])
    assert ".aetherignore" in DEFAULTS


def test_pattern_that_makes_no_sense_is_named():
    with pytest.raises(Refused, match=r"x\[z-a\]"):
        Ignore.of(["x[z-a]"])
