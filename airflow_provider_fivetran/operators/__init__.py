"""Operators that start syncs and transformations, check or write down what there is, and keep a webhook."""

from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.snapshot import FivetranSnapshotOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranSnapshotOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
