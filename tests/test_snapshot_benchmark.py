"""A short form of ``make snapshot``: snapshots in processes of their own, one of which is killed twice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import snapshot

COMMAND = [sys.executable, "-m", "benchmarks.snapshot", "--connections", "330", "--only", "whole,killed"]


@pytest.mark.newest
@pytest.mark.timeout(300)
def test_a_snapshot_that_is_killed_twice_has_the_rows_of_a_whole_one():
    done = subprocess.run(
        COMMAND, check=False, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Of 330: the one that was killed has the same rows." in done.stdout
    whole, killed = (int(found) for found in re.findall(r"\| 330 \| (\d+) \|", done.stdout))
    assert whole == 335
    assert whole < killed <= whole + 2 * 100  # what was not committed


def test_rows_that_differ_are_seen(tmp_path):
    for name, text in (("whole", "a\nb\n"), ("same", "a\nb\n"), ("killed", "a\n")):
        (tmp_path / name / "syncs").mkdir(parents=True)
        (tmp_path / name / "syncs" / "part-00000.jsonl").write_text(text)
    assert snapshot._rows(tmp_path / "whole") == snapshot._rows(tmp_path / "same")
    assert snapshot._rows(tmp_path / "whole") != snapshot._rows(tmp_path / "killed")
