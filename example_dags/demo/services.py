"""Start processes so that none of them can outlive the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

PATIENCE = 3.0  # seconds between asking a process to end and ending it


class Stopped(BaseException):
    """Somebody pressed Ctrl-C or asked the demo to end."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


class ServiceDiedError(Exception):
    """A process that should run for the whole demo has ended."""


class Interrupts:
    """Turn SIGINT, SIGTERM and SIGHUP into an exception, except where that would leave something behind."""

    def __init__(self) -> None:
        self._held = 0
        self._pending: int | None = None
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        if self._held:
            self._pending = signum
        else:
            raise Stopped(signum)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Let nothing interrupt the body; what arrived meanwhile is raised at its end."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if self._pending is not None and not self._held:
            signum, self._pending = self._pending, None
            raise Stopped(signum)

    def ignore(self) -> None:
        """Let nothing interrupt what follows: the demo is already cleaning up."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)


class Services:
    """The processes of the demo, each the leader of its own session and each with its own log file."""

    def __init__(self, logs: Path, interrupts: Interrupts) -> None:
        self._logs = logs
        self._interrupts = interrupts
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        return self._logs / f"{name.replace(' ', '-')}.log"

    def start(
        self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path
    ) -> subprocess.Popen[bytes]:
        with self._interrupts.held(), self.log(name).open("wb") as log:
            process = subprocess.Popen(  # noqa: S603
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._running[name] = process
        return process

    def run(self, name: str, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        """Run a command to its end.

        :raises ServiceDiedError: if it failed.
        """
        process = self.start(name, command, env, cwd)
        if process.wait() != 0:
            raise ServiceDiedError(self._obituary(name, process.returncode))
        del self._running[name]

    def check(self) -> None:
        """Look whether all processes are alive.

        :raises ServiceDiedError: with the end of its log, if one is not.
        """
        for name, process in self._running.items():
            if process.poll() is not None:
                raise ServiceDiedError(self._obituary(name, process.returncode))

    def stop(self) -> None:
        """End everything that was started and all that came of it: kindly at first, then by force.

        Airflow puts each task into a process group of its own, but all that a service starts stays in
        its session.
        """
        sessions = {process.pid for process in self._running.values()}
        _signal_sessions(sessions, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self._alive(sessions) and time.monotonic() < deadline:
            time.sleep(0.1)
        while self._alive(sessions):
            _signal_sessions(sessions, signal.SIGKILL)
            time.sleep(0.05)
        self._running.clear()

    def _alive(self, sessions: set[int]) -> bool:
        for process in self._running.values():
            process.poll()
        return bool(_members(sessions))

    def _obituary(self, name: str, code: int) -> str:
        end = tail(self.log(name), 25)
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        return f"The {name} ended unexpectedly ({how}). The end of its log:\n{end}"


def tail(path: Path, lines: int) -> str:
    """The last lines of a text file, indented."""
    try:
        with path.open(errors="replace") as file:
            return "".join(f"    {line.rstrip()}\n" for line in deque(file, maxlen=lines))
    except OSError:
        return "    (no log)\n"


def _members(sessions: set[int]) -> list[int]:
    members = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if os.getsid(pid) in sessions:
                members.append(pid)
    return members


def _signal_sessions(sessions: set[int], signum: int) -> None:
    for pid in _members(sessions):
        with contextlib.suppress(OSError):
            os.kill(pid, signum)
