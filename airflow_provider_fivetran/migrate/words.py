"""How the command describes itself: Airflow's command line reads this with every command, and nothing else of it."""

from __future__ import annotations

__all__ = ["DESCRIPTION", "OUTPUTS", "OUTPUT_HELP", "PATH_HELP", "WRITE_HELP"]

DESCRIPTION = "Rewrite DAG files that were written for another Fivetran provider, and say what needs a person"
PATH_HELP = "files, or folders to look through"
WRITE_HELP = "change the files; without it, what would change is only shown"
OUTPUT_HELP = "text (default) or json"
OUTPUTS = ("text", "json")
