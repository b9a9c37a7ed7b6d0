"""An executor that gives each visit of a task a Python of its own, and notes what that took."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from airflow.executors import workloads
from airflow.executors.base_executor import BaseExecutor
from airflow.utils.state import TaskInstanceState

from benchmarks.spans import note

if TYPE_CHECKING:
    from collections.abc import Sequence


class OwnProcess(BaseExecutor):
    """Runs one visit after the other, as ``airflow.sdk.execution_time.execute_workload`` does on Kubernetes."""

    is_local = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._visits: list[threading.Thread] = []
        self._ended: dict[Any, int] = {}
        self._one_at_a_time = threading.Lock()

    def _process_workloads(self, workload_list: Sequence[Any]) -> None:
        for workload in workload_list:
            if not isinstance(workload, workloads.ExecuteTask):
                continue
            key = workload.ti.key
            self.running.add(key)
            self.queued_tasks.pop(key, None)
            thread = threading.Thread(target=self._visit, args=(key, workload), daemon=True)
            self._visits.append(thread)
            thread.start()

    def _visit(self, key: Any, workload: workloads.ExecuteTask) -> None:
        command = [sys.executable, "-m", "airflow.sdk.execution_time.execute_workload", "--json-string"]
        with self._one_at_a_time:
            began = time.monotonic()
            process = subprocess.Popen([*command, workload.model_dump_json()], stdout=subprocess.DEVNULL)
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            taken = {"seconds": time.monotonic() - began, "cpu": usage.ru_utime + usage.ru_stime}
            note({"run_id": workload.ti.run_id, **taken, "mib": usage.ru_maxrss / 1024})
        self._ended[key] = process.returncode

    def sync(self) -> None:
        """Tell the scheduler what has ended."""
        for key in list(self._ended):
            code = self._ended.pop(key)
            self.change_state(key, TaskInstanceState.FAILED if code else TaskInstanceState.SUCCESS)

    def end(self) -> None:
        """Let what runs come to its end."""
        for thread in self._visits:
            thread.join()
        self.sync()

    def terminate(self) -> None:
        """The visits end by themselves."""
