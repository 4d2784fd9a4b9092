"""Debian packages by the real apt, from a repository of our own on disk."""

import hashlib
import subprocess

import pytest

from aether.images.debian import DebianPackages, unpack
from aether.images.errors import SetupFailed
from aether.images.progress import Step


class Repository:
    """A flat repository; packages go in with `add`, and apt learns of them with its next update."""

    def __init__(self, folder):
        self.folder = folder
        self.entries = {}
        folder.mkdir()

    def add(self, name, version, depends=""):
        tree = self.folder / f"tree-{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN").chmod(0o755)  # dpkg-deb insists, whatever the umask is
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: a test <a@test>\n"
        control += f"Depends: {depends}\n" if depends else ""
        control += "Description: for a test\n"
        (tree / "DEBIAN" / "control").write_text(control)
        (tree / "content").write_text(f"{name} {version}")
        deb = self.folder / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--build", tree, deb], capture_output=True, check=True)
        digest = hashlib.sha256(deb.read_bytes()).hexdigest()
        facts = f"Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
        self.entries[name] = control.replace("Description", f"{facts}Description")
        (self.folder / "Packages").write_text("\n".join(self.entries.values()))
        return deb


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """What apt knows of is this alone; the system's lists, as apt is told, are empty."""
    state = tmp_path / "system-state"
    (state / "lists" / "partial").mkdir(parents=True)
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repository ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State "{state}";\nDir::State::status "/var/lib/dpkg/status";\nAPT::Sandbox::User "root";\n'
        f'Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return Repository(tmp_path / "repository")


@pytest.fixture
def step(told):
    return Step("test", lambda progress: told.append(progress.text))


@pytest.fixture
def told():
    return []


def test_a_package_comes_although_the_system_has_no_lists(repository, tmp_path, step, told):
    repository.add("aether-sample", "1.0")
    packages = DebianPackages(tmp_path / "cache")
    deb = packages.fetch("aether-sample", step)
    unpack(deb, tmp_path / "out", step)
    assert (tmp_path / "out" / "content").read_text() == "aether-sample 1.0"
    assert any("package lists" in text for text in told)
    packages.forget_lists()
    assert not (tmp_path / "cache" / "apt").exists()


def test_what_was_downloaded_once_needs_no_apt(repository, tmp_path, step, monkeypatch):
    repository.add("aether-sample", "1.0")
    first = DebianPackages(tmp_path / "cache").fetch("aether-sample", step)
    monkeypatch.setenv("PATH", "/nowhere")
    assert DebianPackages(tmp_path / "cache").fetch("aether-sample", step) == first


def test_a_refresh_brings_the_newer_version(repository, tmp_path, step):
    repository.add("aether-sample", "1.0")
    DebianPackages(tmp_path / "cache").fetch("aether-sample", step)
    repository.add("aether-sample", "1.1")
    deb = DebianPackages(tmp_path / "cache", refresh=True).fetch("aether-sample", step)
    assert [path.name for path in deb.parent.glob("*.deb")] == ["aether-sample_1.1_all.deb"]


def test_a_metapackage_leads_to_the_package_it_stands_for(repository, tmp_path, step):
    repository.add("aether-image-6.1", "6.1.5")
    repository.add("aether-image-cloud", "6.1", depends="other | third, aether-image-6.1 (= 6.1.5)")
    deb = DebianPackages(tmp_path / "cache").fetch_newest("aether-image-cloud", r"aether-image-\d", step)
    assert deb.name == "aether-image-6.1_6.1.5_all.deb"


def test_a_damaged_package_is_not_used(repository, tmp_path, step):
    deb = repository.add("aether-sample", "1.0")
    content = deb.read_bytes()
    deb.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    packages = DebianPackages(tmp_path / "cache")
    with pytest.raises(SetupFailed, match="apt-get"):
        packages.fetch("aether-sample", step)
    assert packages.kept("aether-sample") is None


def test_a_package_that_nobody_has_is_named_with_what_to_check(repository, tmp_path, step):
    repository.add("aether-sample", "1.0")
    with pytest.raises(SetupFailed, match="aether-absent") as caught:
        DebianPackages(tmp_path / "cache").fetch("aether-absent", step)
    assert "sources.list" in caught.value.hint
