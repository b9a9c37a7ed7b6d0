"""Operators that start syncs and transformations, check or write down what there is, and keep what is described."""

from airflow_provider_fivetran.operators.connection import FivetranConnectionOperator
from airflow_provider_fivetran.operators.freshness import FivetranFreshnessOperator
from airflow_provider_fivetran.operators.resync import FivetranResyncOperator
from airflow_provider_fivetran.operators.rotate_key import FivetranRotateKeyOperator
from airflow_provider_fivetran.operators.schema import FivetranSchemaOperator
from airflow_provider_fivetran.operators.schema_drift import FivetranSchemaDriftOperator
from airflow_provider_fivetran.operators.snapshot import FivetranSnapshotOperator
from airflow_provider_fivetran.operators.sync import FivetranOperator
from airflow_provider_fivetran.operators.sync_many import FivetranSyncManyOperator
from airflow_provider_fivetran.operators.transformation import FivetranTransformationOperator
from airflow_provider_fivetran.operators.webhook import FivetranWebhookOperator

__all__ = [
    "FivetranConnectionOperator",
    "FivetranFreshnessOperator",
    "FivetranOperator",
    "FivetranResyncOperator",
    "FivetranRotateKeyOperator",
    "FivetranSchemaDriftOperator",
    "FivetranSchemaOperator",
    "FivetranSnapshotOperator",
    "FivetranSyncManyOperator",
    "FivetranTransformationOperator",
    "FivetranWebhookOperator",
]
