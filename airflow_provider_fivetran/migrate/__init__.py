"""Rewrites DAG files that were written for another provider for Fivetran. It knows no Airflow and runs none."""
