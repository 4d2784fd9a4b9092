from aether.images.__main__ import PlainProgress, main
from aether.images.progress import Progress


def test_each_thing_is_said_once_and_long_ones_from_time_to_time(capsys):
    tell = PlainProgress()
    tell(Progress("kernel", "downloading"))
    for second in range(1, 13):
        tell(Progress("kernel", "downloading", f"{second} MiB", elapsed_s=float(second)))
    tell(Progress("kernel", "/there", elapsed_s=12.5, done=True))
    assert capsys.readouterr().out.splitlines() == [
        "kernel: downloading",
        "  kernel: 5 s 5 MiB",
        "  kernel: 10 s 10 MiB",
        "  kernel: /there (12.5 s)",
    ]


def test_what_fails_is_said_with_the_command_that_helps(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("AETHER_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("aether.images.host.ADMIN_FOLDERS", "/nowhere")
    assert main() == 1
    assert "sudo apt-get install" in capsys.readouterr().err
