"""PostgreSQL and Redis from Debian's packages, installed where they are missing."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_server import NotReadyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from progress import Progress
    from services import Interrupts, Services

POLICY = Path("/usr/sbin/policy-rc.d")


def install_missing(services: Services, interrupts: Interrupts, progress: Progress) -> None:
    """Install the servers that this machine lacks; nothing of theirs is started by that.

    :raises NotReadyError: if something is missing and we may not install it.
    """
    missing = [name for name, there in (("postgresql", _postgres()), ("redis-server", _redis())) if not there]
    if not missing:
        return
    if os.geteuid() != 0:
        raise NotReadyError(f"As root: apt-get install {' '.join(missing)}")
    progress.say(f"installing Debian's {' and '.join(missing)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    # A package manager that is ended half-way leaves a machine on which nothing can be installed.
    with interrupts.held(), _nothing_started():
        services.run("list of packages", ["apt-get", "update"], env, Path("/"))
        services.run("installation", install, env, Path("/"))


@contextmanager
def _nothing_started() -> Iterator[None]:
    """Debian starts a server as soon as it is installed, unless this file says no."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _postgres() -> bool:
    return any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or shutil.which("postgres") is not None


def _redis() -> bool:
    return shutil.which("redis-server") is not None
