"""Debian packages, downloaded and unpacked as an ordinary user; nothing is installed.

apt checks signatures and hashes. The system's package lists are used when they serve; where they
are missing, or so old that what they name is gone, apt gets lists of its own in our cache.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from aether.images.errors import SetupFailed
from aether.images.progress import Step

GETTING = ".getting-"
APT_HINT = "check the network and /etc/apt/sources.list, then run: aether setup"


class DebianPackages:
    """Downloads into `{cache_dir}/downloads`, and keeps what is there until `refresh`."""

    def __init__(self, cache_dir: Path, *, refresh: bool = False) -> None:
        self.downloads = cache_dir / "downloads"
        self.apt_dir = cache_dir / "apt"
        self.refresh = refresh
        self.private_lists = False

    def fetch(self, package: str, step: Step) -> Path:
        """The .deb of a package, downloaded unless it is there. Raises SetupFailed."""
        kept = self.kept(package)
        if kept is not None and not self.refresh:
            return kept
        self.refresh_lists(step)
        try:
            return self.download(package, step)
        except SetupFailed:
            if self.private_lists:
                raise
            self.update_private_lists(step)
            return self.download(package, step)

    def fetch_newest(self, metapackage: str, pattern: str, step: Step) -> Path:
        """The .deb of the package that a metapackage depends on and whose name matches `pattern`."""
        kept = [path for path in self.downloads.glob("*.deb") if re.match(pattern, path.name)]
        if kept and not self.refresh:
            return max(kept, key=lambda path: path.stat().st_mtime_ns)
        self.refresh_lists(step)
        try:
            return self.fetch(self.dependency(metapackage, pattern, step), step)
        except SetupFailed:
            if self.private_lists:
                raise
            self.update_private_lists(step)
            return self.fetch(self.dependency(metapackage, pattern, step), step)

    def kept(self, package: str) -> Path | None:
        found = self.downloads.glob(f"{package}_*.deb")
        return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)

    def download(self, package: str, step: Step) -> Path:
        self.downloads.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=GETTING, dir=self.downloads) as text:
            folder = Path(text)
            folder.chmod(0o755)
            step.say(f"downloading {package} from Debian")
            step.run(
                ["apt-get", *self.options(), "download", package], cwd=folder, growing=folder, hint=APT_HINT
            )
            found = list(folder.glob("*.deb"))
            if len(found) != 1:
                raise SetupFailed(f"apt-get download {package} brought {len(found)} files", hint=APT_HINT)
            for older in self.downloads.glob(f"{package}_*.deb"):
                older.unlink()
            found[0].touch()  # apt gives it the server's time; which one came last is what counts here
            return found[0].replace(self.downloads / found[0].name)

    def dependency(self, metapackage: str, pattern: str, step: Step) -> str:
        shown = step.run(
            ["apt-cache", *self.options(), "show", "--no-all-versions", metapackage], hint=APT_HINT
        )
        for line in shown.splitlines():
            if line.startswith("Depends:"):
                for alternative in re.split(r"[,|]", line.removeprefix("Depends:")):
                    name = alternative.split()[0]
                    if re.match(pattern, name):
                        return name
        raise SetupFailed(f"{metapackage} depends on no package that looks like {pattern}", hint=APT_HINT)

    def refresh_lists(self, step: Step) -> None:
        """A refresh goes by what Debian has now, not by when this system last looked."""
        if self.refresh and not self.private_lists:
            self.update_private_lists(step)

    def update_private_lists(self, step: Step) -> None:
        """Package lists of our own: an ordinary user may not touch the system's."""
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (self.apt_dir / folder).mkdir(parents=True, exist_ok=True)
        step.say("getting Debian's package lists: the system's are missing or out of date")
        self.private_lists = True
        step.run(["apt-get", *self.options(), "update"], growing=self.apt_dir, hint=APT_HINT)

    def options(self) -> list[str]:
        """Ours, once `update_private_lists` has made them; else the system's."""
        if not self.private_lists:
            return []
        return [
            "-oDebug::NoLocking=1",  # nobody else uses this folder: set-up holds its own lock
            f"-oDir::State={self.apt_dir / 'state'}",
            "-oDir::State::status=/var/lib/dpkg/status",
            f"-oDir::Cache={self.apt_dir / 'cache'}",
        ]

    def forget_lists(self) -> None:
        """They are large, and stale tomorrow."""
        shutil.rmtree(self.apt_dir, ignore_errors=True)


def unpack(deb: Path, into: Path, step: Step) -> None:
    """The files of a package, owned by us."""
    into.mkdir(parents=True, exist_ok=True)
    step.run(["dpkg-deb", "-x", deb, into])
