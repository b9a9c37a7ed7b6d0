"""Operators that start Fivetran syncs and wait for them."""

from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator

__all__ = ["FivetranOperator", "FivetranResyncOperator"]
