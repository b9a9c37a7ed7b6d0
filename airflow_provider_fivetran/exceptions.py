"""The errors of this provider, for DAG authors to catch or to match in a retry policy.

Their tree, and what each of them means, stands in :mod:`airflow_provider_fivetran.core.errors`.
"""

from __future__ import annotations

from airflow_provider_fivetran.core.errors import *  # noqa: F403
from airflow_provider_fivetran.core.errors import __all__ as __all__  # noqa: PLC0414
