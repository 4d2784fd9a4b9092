"""What is in the root file system of runtime node."""

import os
import re
import stat
import subprocess

import pytest

from aether.images.arch import host_architecture
from aether.images.host import tool


@pytest.fixture(scope="module")
def node(images):
    return images.runtimes["node"]


@pytest.fixture(scope="module")
def tree(node, tmp_path_factory):
    """Its content, copied out."""
    folder = tmp_path_factory.mktemp("root")
    subprocess.run([tool("debugfs"), "-R", f"rdump / {folder}", node.root], capture_output=True, check=True)
    return folder


def test_node_runs_on_the_libraries_in_the_root_alone(tree):
    architecture = host_architecture()
    loader = tree / "usr/lib" / architecture.triple / os.path.basename(architecture.loader)  # noqa: PTH119
    command = [
        loader, "--inhibit-cache", "--library-path", tree / "usr/lib" / architecture.triple,
        tree / "usr/bin/node", "-p", "process.version + ' ' + fs.readFileSync('/proc/self/maps', 'latin1')",
    ]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("v")
    mapped = set(re.findall(r"(/\S+\.so[.\d]*)\s", said))
    assert len(mapped) > 4
    assert all(path.startswith(str(tree)) for path in mapped)


def test_nothing_in_the_root_is_setuid_or_somebody_elses(node, tree):
    for path in tree.rglob("*"):
        assert not path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID), path
    for folder in ("/", "/etc", "/usr/bin", "/opt/aether"):
        said = subprocess.run(
            [tool("debugfs"), "-R", f"ls -p {folder}", node.root], capture_output=True, text=True, check=True
        ).stdout
        entries = [line.split("/") for line in said.splitlines() if line.startswith("/")]
        assert entries
        assert {(entry[3], entry[4]) for entry in entries} == {("0", "0")}


def test_the_root_has_what_a_guest_mounts_on_and_a_function_looks_for(tree):
    for folder in ("proc", "sys", "dev", "code", "run", "tmp", "var/tmp"):
        assert (tree / folder).is_dir()
    assert "function:x:1000:1000" in (tree / "etc/passwd").read_text()
    assert (tree / "etc/ssl/certs/ca-certificates.crt").read_text().count("BEGIN CERTIFICATE") > 100
    assert (tree / "opt/aether/bootstrap.cjs").is_file()
    assert (tree / "node_modules/aether/aether.cjs").is_file()


def test_the_root_is_small(node):
    size_mib = node.root.stat().st_size / 2**20
    assert size_mib < 125, "Node itself, stripped, is 103"
