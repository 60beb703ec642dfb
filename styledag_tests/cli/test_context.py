"""What is printed to nobody any more is lost, and nothing else is."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

PRINT = """
import sys, time
from styledag.cli.bars import BarsProgress
from styledag.cli.context import Terminal
console = Terminal()
for _ in range(2):
    console.print("one line")
    with BarsProgress(console).task("steps", 3) as advance:
        for _ in range(3):
            time.sleep(0.1)
            advance(1)
    time.sleep(0.5)
sys.stderr.write("made")
"""
COMMAND = [sys.executable, "-c", PRINT]


def test_a_reader_that_has_enough_ends_nothing() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"made"
    assert process.returncode == 0


def test_a_log_on_a_full_disk_ends_nothing() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, check=True)
    assert process.stderr == b"made"


def test_a_terminal_that_is_closed_ends_nothing() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, stdout=theirs, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        os.read(ours, 10)
        time.sleep(0.2)
        os.close(ours)
        assert process.stderr is not None
        assert process.stderr.read() == b"made"
    assert process.returncode == 0


TABLE = """
from styledag.cli.context import Terminal, new_table
table = new_table("asset", "why")
table.add_row("captions", "model 'data/starter/" + "x" * 200 + "' is no folder")
Terminal(highlight=False, soft_wrap=True).print(table)
"""


def test_a_row_of_a_table_is_one_line_where_no_terminal_is() -> None:
    environment = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    command = [sys.executable, "-c", TABLE]
    shown = subprocess.run(command, capture_output=True, check=True, env=environment)
    rows = shown.stdout.decode().splitlines()
    assert [row.split()[0] for row in rows] == ["asset", "captions"]
    assert f"model 'data/starter/{'x' * 200}' is no folder" in rows[1]


def test_a_narrow_table_breaks_its_last_column_and_leaves_out_nothing() -> None:
    command = [sys.executable, "-c", TABLE]
    narrow = subprocess.run(
        command, capture_output=True, check=True, env=os.environ | {"COLUMNS": "40"}
    )
    assert narrow.stdout.count(b"x") == 200
    assert b"captions" in narrow.stdout


def test_letters_that_a_terminal_does_not_have_end_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "広重"
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}

    def styledag(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "styledag", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, check=False)

    made = styledag("init", str(folder))
    assert (made.returncode, made.stderr) == (0, b"")
    assert b"\\u5e83\\u91cd" in made.stdout
    refused = styledag("init", str(folder))
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"error: ")
    assert b"\\u5e83\\u91cd" in refused.stderr


@pytest.mark.parametrize("command", [["schema"], ["--help"]])
def test_an_answer_that_a_full_disk_takes_only_in_part_is_one_sentence(command: list[str]) -> None:
    """A script that reads the file takes half an answer for the whole otherwise."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = subprocess.run(
            [sys.executable, "-m", "styledag", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert process.returncode == 1
    assert process.stderr == (
        "error: what this prints cannot be written: No space left on device\n"
    )
