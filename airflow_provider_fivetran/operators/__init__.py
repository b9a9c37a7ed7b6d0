"""Operators that start Fivetran syncs and wait for them, and one that keeps a webhook."""

from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = ["FivetranOperator", "FivetranResyncOperator", "FivetranWebhookOperator"]
