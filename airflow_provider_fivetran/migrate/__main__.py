"""``python -m airflow_provider_fivetran.migrate``: the command where Airflow's own has no room for providers."""

import sys

from airflow_provider_fivetran.migrate.command import main

if __name__ == "__main__":
    sys.exit(main())
