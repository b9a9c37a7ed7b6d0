"""What a task leaves for people and other tasks: the link to its connection in Fivetran, and the record's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

__all__ = [
    "RECORD_XCOM",
    "TRANSFORMATION_XCOM",
    "FivetranConnectionLink",
    "FivetranTransformationLink",
    "forget_results",
]

# The XCom with the record of a sync.
RECORD_XCOM = "fivetran_sync"
# The XCom with the record of a transformation's run.
TRANSFORMATION_XCOM = "fivetran_transformation"


class FivetranConnectionLink(BaseOperatorLink):
    """Opens the connection, with its syncs and its log, in the Fivetran dashboard.

    The address is pushed before the sync is started, so that the link works while it runs.
    """

    name = "Fivetran connection"
    key = "fivetran_link"

    @property
    def xcom_key(self) -> str:
        """The XCom in which Airflow 3 looks for the address."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:  # noqa: ARG002
        """The address, or an empty text before the task has found its connection."""
        return XCom.get_value(key=self.key, ti_key=ti_key) or ""

    @classmethod
    def persist(cls, context: Context, link: str) -> None:
        """Make the link show for the task that runs."""
        context["ti"].xcom_push(key=cls.key, value=link)

    @classmethod
    async def apersist(cls, ti: Any, link: str) -> None:
        """Make the link show for a task that waits in the triggerer (Airflow 3.3 and newer)."""
        await XCom.aset(
            cls.key, link, dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index
        )


class FivetranTransformationLink(FivetranConnectionLink):
    """Opens the transformations in the Fivetran dashboard."""

    name = "Fivetran transformations"


def forget_results(context: Context) -> None:
    """Delete what an earlier try of the task that runs has left for others (Airflow 3)."""
    ti = context["ti"]
    for key in ("return_value", RECORD_XCOM, TRANSFORMATION_XCOM):
        XCom.delete(key=key, task_id=ti.task_id, dag_id=ti.dag_id, run_id=ti.run_id, map_index=ti.map_index)
