"""Operators that start Fivetran syncs and transformations, check what there is, keep a webhook, and rotate keys."""

from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.rotate_key import FivetranRotateKeyOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranRotateKeyOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
