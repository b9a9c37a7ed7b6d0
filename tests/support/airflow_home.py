"""A home for Airflow that belongs to this test run alone.

Airflow reads its configuration while it is imported, so ``tests/conftest.py`` imports this module before
anything else, and nothing of Airflow is imported here.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

HOME = Path(tempfile.mkdtemp(prefix="airflow-home-"))
DAGS_FOLDER = HOME / "dags"
SETTINGS = {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS_FOLDER),
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # a busy machine takes more than 30 seconds to import dbt
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
    # `make unit-postgres` names another one, for what hangs on how a database locks.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": os.environ.get(
        "TEST_DATABASE", f"sqlite:///{HOME / 'airflow.db'}"
    ),
    "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
}


def settle() -> None:
    """Point Airflow at :data:`HOME` and at nothing that the developer's shell has set up."""
    for name in list(os.environ):
        if name.startswith(("AIRFLOW_", "FIVETRAN_API")) or name.lower().endswith("_proxy"):
            del os.environ[name]
    os.environ.update(SETTINGS)
    DAGS_FOLDER.mkdir()
    atexit.register(shutil.rmtree, HOME, ignore_errors=True)


settle()
