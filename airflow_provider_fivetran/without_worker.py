"""Whether a sensor may begin in the triggerer, and what Airflow (3.3 and newer) must know of it for that."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.triggers.base import StartTriggerArgs

__all__ = ["BeginsInTriggerer", "is_possible", "why_a_worker"]

# What a template may use: of all that a worker has, the triggerer has these in the same way. It knows neither the
# macros and filters of the DAG nor how the DAG treats what is not defined, and would ask for variables in its loop.
# One that takes a wait over renders once more, and must come to the same: so there is no clock among these.
KNOWN_THERE = frozenset(
    {
        *("dag_run", "run_id", "logical_date", "data_interval_start", "data_interval_end"),
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"),
    }
)


class _Arguments:
    """``start_trigger_args`` as the task stands when Airflow serializes it, after all policies of the cluster.

    Of the class it is ``None``: mapped tasks, which Airflow cannot begin in the triggerer, begin in a worker.
    """

    def __get__(self, task: BeginsInTriggerer | None, kind: type) -> StartTriggerArgs | None:
        return None if task is None else task.start_in_triggerer()


class BeginsInTriggerer:
    """A task that may begin in the triggerer."""

    start_trigger_args: Any = _Arguments()

    @abstractmethod
    def start_in_triggerer(self) -> StartTriggerArgs | None:
        """What Airflow must know for that; ``None``: a worker has to begin the task."""


def is_possible() -> bool:
    """Whether this Airflow can do it: 2 and 3.0 hand a trigger its arguments unrendered, 3.1 and 3.2 do not try."""
    from airflow.triggers.base import BaseTrigger  # noqa: PLC0415

    return hasattr(BaseTrigger, "render_template_fields")


def why_a_worker(arguments: Mapping[str, Any], *, dag: Any) -> str | None:
    """Why arguments must be rendered in a worker, naming the first such; ``None``: they need not.

    :param arguments: template fields with their values, of which a date may be given as such.
    :param dag: the DAG of the task, as far as it has one yet.
    """
    for name, value in arguments.items():
        if hasattr(value, "resolve"):
            return f"{name} is what another task returns, which only a worker can fetch"
        if "{" in str(value):
            why = _why_not_there(str(value), dag)
            if why is not None:
                return f"{name} is a template {why}"
    return None


def _why_not_there(template: str, dag: Any) -> str | None:
    from airflow.sdk.definitions._internal.templater import SandboxedEnvironment  # noqa: PLC0415
    from jinja2 import TemplateError, meta  # noqa: PLC0415

    if dag is not None and (dag.user_defined_filters or dag.jinja_environment_kwargs):
        return "and the DAG has filters or settings of Jinja of its own, which only a worker knows"
    env = SandboxedEnvironment(cache_size=0)  # type: ignore[no-untyped-call]  # as that of the triggerer
    try:
        tree = env.parse(template)
        env.compile(template)
    except TemplateError as error:
        return f"that the triggerer cannot read: {error}"
    unknown = meta.find_undeclared_variables(tree) - KNOWN_THERE
    if unknown:
        return (
            f"with {', '.join(sorted(unknown))}, which only a worker knows; the triggerer knows "
            f"{', '.join(sorted(KNOWN_THERE))}"
        )
    if any(meta.find_referenced_templates(tree)):
        return "that needs another file, which only a worker finds"
    return None
