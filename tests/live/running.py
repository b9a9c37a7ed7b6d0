"""What the commands here have in common: a scratch folder, processes that end with the command, and its exit code."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_server import NotReadyError
from progress import Progress
from services import Interrupts, ServiceDiedError, Stopped
from stage import Database, Processes

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Place:
    """Where something is played."""

    scratch: Path
    processes: Processes
    progress: Progress


def carry_out(name: str, play: Callable[[Place], int], *, keep: bool) -> int:
    """Play in a scratch folder of its own; at the end, also by Ctrl-C, nothing of it is left.

    The exit code is that of ``play``; 2 if a part of Airflow did not get ready or died; after a signal, 128 and its
    number.

    :param keep: leave the scratch folder with all logs.
    """
    interrupts, progress = Interrupts(), Progress()
    scratch = Path(tempfile.mkdtemp(prefix=f"fivetran-{name}-"))
    # The database runs as somebody else, who must get to its own folder in there.
    scratch.chmod(0o711)
    for folder in ("logs", "tmp"):
        (scratch / folder).mkdir()
    processes = Processes(scratch / "logs", interrupts)
    try:
        return play(Place(scratch, processes, progress))
    except Stopped as stop:
        progress.plain("\nStopping everything ...")
        return stop.exit_code
    except (NotReadyError, ServiceDiedError) as problem:
        progress.plain(f"\n{problem}")
        return 2
    finally:
        interrupts.ignore()
        database = processes.set_aside("PostgreSQL")
        processes.stop()
        Database.stop(database)
        if keep:
            progress.plain(f"The scratch folder is kept: {scratch}")
        else:
            shutil.rmtree(scratch, ignore_errors=True)
