"""What of a visit a task takes itself, from when Airflow calls it until it is done or wants to be deferred."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

VISITS = "FIVETRAN_BENCH_VISITS"


def timed(kind: Any) -> Any:
    """The same operator, which notes the time and the CPU of its own part of each visit."""

    class Timed(kind):  # type: ignore[misc]
        def execute(self, context: Any) -> Any:
            with _noted(context):
                return super().execute(context)

        def resume_execution(self, next_method: str, next_kwargs: Any, context: Any) -> Any:
            with _noted(context):
                return super().resume_execution(next_method, next_kwargs, context)

    return Timed


@contextmanager
def _noted(context: Any) -> Iterator[None]:
    seconds, cpu = time.monotonic(), time.process_time()
    try:
        yield
    finally:
        own = {"own_seconds": time.monotonic() - seconds, "own_cpu": time.process_time() - cpu}
        note({"run_id": context["run_id"], **own})


def note(line: dict[str, Any]) -> None:
    """Write a line where the benchmark looks for it."""
    with Path(os.environ[VISITS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
