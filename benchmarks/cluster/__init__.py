"""Many deferred tasks in an Airflow as it is run in production, on this machine. Run by ``make cluster``."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What starts processes, Airflow and PostgreSQL for the demo and for `make live` serves here too.
sys.path += [str(ROOT / "example_dags" / "demo"), str(ROOT / "tests" / "live")]
