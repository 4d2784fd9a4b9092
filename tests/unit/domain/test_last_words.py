"""What a failure tells of a console."""

from __future__ import annotations

from aether.domain.last_words import last_words

BOOT = "[    0.358711] PCI: Fatal: No config space access function found\n[    0.4] Run /init\r\n"


def test_it_begins_where_the_function_begins():
    console = BOOT + "[stdout] hello\n[    9.1] Out of memory: Killed process 42\n[agent] killed\n"
    assert last_words(console) == "[stdout] hello\n[    9.1] Out of memory: Killed process 42\n[agent] killed"


def test_without_output_of_the_function_it_is_what_the_machine_said():
    assert last_words(BOOT) == "[    0.4] Run /init"
    assert last_words("[    0.358711] PCI: Fatal: No config space access function found\n") == ""
    assert last_words("") == ""


def test_the_newest_whole_lines_are_kept():
    console = "".join(f"[stdout] line {number}\n" for number in range(1000))
    words = last_words(console, 100)
    assert words.endswith("[stdout] line 999")
    assert words.startswith("[stdout] line 99")
    assert len(words) <= 100
    assert last_words("[stdout] " + "x" * 500, 100) == "x" * 100


def test_of_a_long_report_of_errors_the_top_stays():
    stack = "".join(f"[stderr] {number:2}: 0x5581 node::Abort()\n" for number in range(60))
    console = (
        f"[stdout] before\n[stderr] FATAL ERROR: heap out of memory\n{stack}[agent] the function ended\n"
    )
    words = last_words(console, 500)
    assert words.startswith("[stderr] FATAL ERROR: heap out of memory\n")
    assert words.endswith("[stderr] 59: 0x5581 node::Abort()")
    assert len(words) <= 500
