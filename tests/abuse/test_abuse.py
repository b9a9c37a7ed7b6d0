"""A short form of ``make receiver-abuse``: the receiver in a real api-server, each attack for a moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, str(Path(__file__).with_name("abuse.py")), "--scale", "0.03"]


@pytest.mark.newest
@pytest.mark.timeout(400)
def test_an_api_server_endures_all_attacks_and_loses_and_doubles_no_event(tmp_path):
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(COMMAND, stdout=said, stderr=subprocess.STDOUT)
        try:
            code = process.wait(300)
        finally:
            process.terminate()  # it ends what it started
            process.wait(30)
        said.seek(0)
        text = said.read()
    assert code == 0, text
    assert text.rstrip().endswith("All as it should be."), text
