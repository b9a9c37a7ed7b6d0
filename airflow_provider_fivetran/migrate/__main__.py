"""``python -m airflow_provider_fivetran.migrate``: the command where Airflow's own has no room for providers."""

import sys

from airflow_provider_fivetran.broken_pipe import ending_quietly_when_cut_off
from airflow_provider_fivetran.migrate.command import main

if __name__ == "__main__":
    with ending_quietly_when_cut_off():
        sys.exit(main())
