"""`aether up` as its users run it: a process of its own, by an ordinary user, on real microVMs.

When the tests run as root they make that user, and give it this checkout and the images by bind
mounts in a mount namespace of its own, since both may lie where it can't go.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from aether.cli.paths import default_cache_dir
from aether.images.catalog import load_images

REPOSITORY = Path(__file__).parents[2]
USER = "aether-test"
START_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
UP = re.compile(r"Aether is up at (http://\S+)")


@dataclass(frozen=True)
class User:
    """How to run a command as the user under test, and where it may write."""

    uid: int
    home: Path
    prefix: tuple[str, ...]
    python: str
    environment: dict[str, str]

    def aether(self, *words: str) -> list[str]:
        return [*self.prefix, self.python, "-m", "aether.cli", *words]


@pytest.fixture(scope="session")
def images() -> Path:
    """The cache that `make setup` filled."""
    cache = Path(os.environ.get("AETHER_CACHE_DIR", default_cache_dir()))
    load_images(cache)
    return cache


@pytest.fixture(scope="session")
def user(images) -> Iterator[User]:
    # Short: sockets live below it. Passable: the user has to get in.
    home = Path(tempfile.mkdtemp(prefix="ae2e-"))
    home.chmod(0o755)
    try:
        yield _other_user(home, images) if os.geteuid() == 0 else _this_user(home, images)
    finally:
        shutil.rmtree(home)


def _this_user(home: Path, images: Path) -> User:
    environment = {**os.environ, "HOME": str(home), "AETHER_CACHE_DIR": str(images)}
    return User(os.geteuid(), home, (), sys.executable, environment)


def _other_user(home: Path, images: Path) -> User:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(USER)
        return _mounted(home, images)
    subprocess.run(["useradd", "--system", "--no-create-home", "--shell", "/bin/false", USER], check=True)
    return _mounted(home, images)


def _mounted(home: Path, images: Path) -> User:
    account = pwd.getpwnam(USER)
    checkout, cache, own = home / "checkout", home / "images", home / "home"
    for folder in (checkout, cache, own):
        folder.mkdir()
    os.chown(own, account.pw_uid, account.pw_gid)
    mounts = f"mount --bind {REPOSITORY} {checkout} && mount --bind {images} {cache}"
    drop = f"exec setpriv --reuid {account.pw_uid} --regid {account.pw_gid} --clear-groups --no-new-privs"
    prefix = ("unshare", "--mount", "sh", "-c", f'{mounts} && {drop} "$@"', "sh")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(own),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(checkout / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "AETHER_CACHE_DIR": str(cache),
    }
    python = str(checkout / Path(sys.executable).relative_to(REPOSITORY))
    return User(account.pw_uid, own, prefix, python, environment)


@dataclass
class Up:
    """A running platform."""

    user: User
    data_dir: Path
    process: subprocess.Popen[bytes]
    url: str
    log: Path
    http: httpx.Client = field(init=False)
    asked: bool = False
    machines: list[int] = field(default_factory=list)
    """Process ids of the QEMUs that were there when it was asked to stop."""

    def __post_init__(self) -> None:
        key = (self.data_dir / "api-key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=self.url, headers=headers, timeout=90, trust_env=False)

    def aether(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One of our commands, by the same user."""
        environment = self.user.environment | {"AETHER_URL": self.url, "AETHER_DATA_DIR": str(self.data_dir)}
        ran = subprocess.run(
            self.user.aether(*words),
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or ran.returncode == 0, ran.stderr
        return ran

    def deploy(self, name: str, files: dict[str, str], *options: str) -> None:
        """From a folder that the user owns."""
        folder = self.data_dir.parent / f"source-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.aether("deploy", str(folder), "--name", name, "--no-wait", *options)

    def call(self, name: str, path: str = "/", **options: object) -> httpx.Response:
        return self.http.request(str(options.pop("method", "GET")), f"/functions/{name}{path}", **options)  # type: ignore[arg-type]

    def instances(self, name: str) -> list[dict[str, object]]:
        return self.http.get(f"/api/functions/{name}/instances").json()

    def vms(self) -> list[int]:
        """Process ids of its QEMUs: they are its children, and it has no others while it rests."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(child) for child in children if b"qemu" in Path(f"/proc/{child}/cmdline").read_bytes()]

    def ask_to_stop(self, number: int = signal.SIGTERM) -> None:
        """Once: a second signal means not to wait any longer."""
        if not self.asked:
            self.asked = True
            self.machines = self.vms()
            self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.ask_to_stop(number)
        code = self.process.wait(STOP_WITHIN_S)
        self.http.close()
        return code


def until(condition: Callable[[], object], within_s: float = 30.0) -> None:
    """The world outside has no events for us: look until it is so."""
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, "it did not come about in time"
        time.sleep(0.05)


def start(user: User, data_dir: Path, *options: str) -> Up:
    log = data_dir.parent / f"{data_dir.name}.log"
    with log.open("ab") as output:
        began = output.tell()
        process = subprocess.Popen(
            user.aether("up", "--port", "0", "--data-dir", str(data_dir), *options),
            env=user.environment,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
        )
    found: list[str] = []

    def announced() -> bool:
        text = log.read_bytes()[began:].decode()
        assert process.poll() is None, text
        found.extend(match[1] for match in UP.finditer(text))
        return bool(found)

    until(announced, START_WITHIN_S)
    return Up(user, data_dir, process, found[0], log)


def assert_nothing_left(up: Up) -> None:
    assert not [machine for machine in up.machines if Path(f"/proc/{machine}").exists()]
    assert files_left(up.data_dir) == []


def files_left(data_dir: Path) -> list[Path]:
    """Sockets and temporary files; the rest of a data directory is there to stay."""
    return [p for folder in ("run", "work") for p in (data_dir / folder).rglob("*") if not p.is_dir()]


@contextlib.contextmanager
def platform(user: User, name: str) -> Iterator[Up]:
    """Started, and stopped in the end with nothing left behind."""
    base = Path(tempfile.mkdtemp(prefix="p-", dir=user.home))
    base.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(base, user.uid, user.uid)
    up = start(user, base / name)
    try:
        yield up
    finally:
        code = up.stop()
    assert code == 0, up.log.read_text()[-3000:]
    assert_nothing_left(up)


@pytest.fixture(scope="module")
def up(user) -> Iterator[Up]:
    """One platform for a module's tests, each with functions of its own."""
    with platform(user, "data") as running:
        yield running
