"""Operators that start Fivetran syncs and transformations, that check and that keep what is described."""

from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.schema import FivetranSchemaOperator
from airflow_provider_fivetran.operators.schema_drift import FivetranSchemaDriftOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranSchemaDriftOperator",
    "FivetranSchemaOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
