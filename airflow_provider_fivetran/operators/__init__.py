"""Operators that start Fivetran syncs and transformations, that check what there is, and that keep a webhook."""

from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.sync_many import FivetranSyncManyOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranSyncManyOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
