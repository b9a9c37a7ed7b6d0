"""What each triggerer takes of the machine, and how many wait where: looked at once a second."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from services import _members

if TYPE_CHECKING:
    from benchmarks.cluster.record import Ledger

BETWEEN_LOOKS = 1.0
KIB = 1024
BLOCKED = re.compile(r"async thread was blocked for ([0-9.]+) seconds")


@dataclass(slots=True, kw_only=True)
class Use:
    """What one triggerer took during a scene."""

    name: str
    job: int
    session: int
    idle_mib: float = 0.0
    """Before there was anything to wait for."""
    peak_mib: float = 0.0
    most_triggers: int = 0
    ended_after: float | None = None
    """Seconds into the scene, if it was killed."""
    stalls: list[float] = field(default_factory=list)
    """Seconds for which its event loop was blocked, as it says itself of more than 0.2."""
    cpu_before: float = 0.0
    cpu_by_process: dict[int, float] = field(default_factory=dict)

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu_by_process.values()) - self.cpu_before

    def read_log(self, log: Path) -> None:
        self.stalls = [float(seconds) for seconds in BLOCKED.findall(log.read_text(errors="replace"))]

    def look(self) -> float:
        """Note the CPU seconds of all its processes so far, and return their memory in MiB."""
        memory = 0.0
        for pid in _members({self.session}):
            with contextlib.suppress(psutil.Error, OSError):
                spent = psutil.Process(pid).cpu_times()
                self.cpu_by_process[pid] = spent.user + spent.system
                memory += _own_mib(pid)
        self.peak_mib = max(self.peak_mib, memory)
        return memory


class Meter(threading.Thread):
    """The one that looks, from the moment before the tasks begin until all have ended."""

    def __init__(self, uses: list[Use], ledger: Ledger, run_id: str) -> None:
        super().__init__(daemon=True, name="meter")
        self.uses = uses
        self.most_deferred = 0
        self.first_with_most: float = 0.0
        """Seconds into the scene at which that many were deferred for the first time."""
        self._ledger = ledger
        self._run_id = run_id
        self._stopped = threading.Event()
        self.began = time.monotonic()
        for use in uses:
            use.idle_mib = use.look()
            use.cpu_before = sum(use.cpu_by_process.values())

    def run(self) -> None:
        while not self._stopped.wait(BETWEEN_LOOKS):
            for use in self.uses:
                if use.ended_after is None:
                    use.look()
            held = self._ledger.triggers()
            for use in self.uses:
                use.most_triggers = max(use.most_triggers, held.get(use.job, 0))
            deferred = self._ledger.states(self._run_id)["deferred"]
            if deferred > self.most_deferred:
                self.most_deferred, self.first_with_most = deferred, self.seconds()

    def seconds(self) -> float:
        return time.monotonic() - self.began

    def stop(self) -> None:
        self._stopped.set()
        if self.is_alive():
            self.join()


def _own_mib(pid: int) -> float:
    """What a process occupies, of the memory that it shares with others its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / KIB
    return 0.0
