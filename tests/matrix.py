"""Run the tests on several versions of Airflow, each in an environment of its own under ``.venvs``.

Used by ``make matrix`` and ``make matrix-ends``. Takes versions of Airflow as arguments; the one that
``constraints.txt`` pins uses that file, every other one has its own under ``constraints/``.

These environments hold the package, its simulator and pytest, but neither dbt nor Cosmos nor a linter. So
tests marked ``newest`` are left out, as are the full runs of the example DAGs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV = shlex.split(os.environ.get("UV", "uv"))
PYTEST = [
    *("-m", "pytest", "tests", "-m", "not newest", "-p", "no:cacheprovider"),
    *("--ignore", "tests/test_example_dags.py", "--no-header"),
    *("-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"),  # as `make test`
]


# Older lines run on libraries that have moved on without them, and warn of it by the dozen. There, only what
# our own code and the tests bring about is an error; on the newest, everything is (see pyproject.toml).
OLDER_WARNINGS = [
    "default",
    "error:::airflow_provider_fivetran",
    "error:::tests",
    "error::RuntimeWarning",  # coroutines that nobody awaited
    "error::ResourceWarning",  # files and sockets that nobody closed
    "error::pytest.PytestUnraisableExceptionWarning",
    "error::pytest.PytestUnhandledThreadExceptionWarning",
]


def is_newest(version: str) -> bool:
    return f"apache-airflow=={version}" in (ROOT / "constraints.txt").read_text().splitlines()


def constraints_for(version: str) -> Path:
    return ROOT / ("constraints.txt" if is_newest(version) else f"constraints/airflow-{version}.txt")


def environment_for(version: str) -> Path:
    """Return the interpreter of an environment with this Airflow, installing only what changed."""
    environment = ROOT / ".venvs" / f"airflow-{version}"
    python = environment / "bin" / "python"
    constraints = constraints_for(version)
    wanted = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + constraints.read_bytes()).hexdigest()
    stamp = environment / ".installed"
    if stamp.exists() and stamp.read_text() == wanted:
        return python

    print(f"airflow {version}: installing", flush=True)
    subprocess.run([*UV, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
    subprocess.run(
        [
            *(*UV, "pip", "install", "--quiet", "--python", python, "--constraint", constraints),
            *("--editable", ".[simulator]", "--group", "test", f"apache-airflow=={version}"),
        ],
        check=True,
        cwd=ROOT,
    )
    stamp.write_text(wanted)
    return python


def run(version: str) -> tuple[bool, str]:
    """Run the tests on one version and say in one line how that went."""
    try:
        python = environment_for(version)
    except subprocess.CalledProcessError as error:
        return False, f"airflow {version:<7} could not be installed: exit code {error.returncode}"

    print(f"airflow {version}: testing", flush=True)
    warnings = [] if is_newest(version) else ["-o", "filterwarnings=" + "\n".join(OLDER_WARNINGS)]
    lines = []
    with subprocess.Popen(
        [python, *PYTEST, *warnings, *os.environ.get("ARGS", "").split()],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)

    outcome = re.sub(r"^=+ | in [\d.]+s.*$", "", lines[-1].strip() if lines else "no output")
    passed = process.returncode == 0
    return passed, f"airflow {version:<7} python {sys.version.split()[0]}  {outcome}"


def main(versions: list[str]) -> int:
    results = [run(version) for version in versions]
    print()
    for _, line in results:
        print(line)
    return 0 if all(passed for passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
