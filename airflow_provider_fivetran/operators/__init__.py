"""Operators that start syncs and transformations, check what there is, and keep connections and a webhook."""

from airflow_provider_fivetran.operators.connection import FivetranConnectionOperator
from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranConnectionOperator",
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
