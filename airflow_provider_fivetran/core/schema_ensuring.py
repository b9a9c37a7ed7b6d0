"""Making the schema configuration of a connection be as described: what differs is changed, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranNotAsDescribed,
    FivetranNotFound,
    FivetranUnauthorized,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.core.lines import in_lines
from airflow_provider_fivetran.core.models import dashboard_link
from airflow_provider_fivetran.core.schema_differences import (
    body_of,
    differences,
    without_others,
)
from airflow_provider_fivetran.core.schema_endpoints import change_schema_config, prepare_schema_config
from airflow_provider_fivetran.core.schema_reading import (
    RELOAD_TIMEOUT,
    has_no_schema,
    read_config,
    reload_config,
    with_all_columns,
)
from airflow_provider_fivetran.core.steps import PATIENCE, Note, Pause, ask_patiently

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_fivetran.core.policies import CheckMissing, OtherTables, WhenDifferent, WhenNoSchema
    from airflow_provider_fivetran.core.schema_config import SchemaConfig
    from airflow_provider_fivetran.core.schema_description import SchemaDescription
    from airflow_provider_fivetran.core.schema_differences import Difference
    from airflow_provider_fivetran.core.steps import Clock, Procedure

__all__ = ["SchemaChanges", "SchemaOrder", "ensure_schema"]

# A change that Fivetran took, but does not show, is looked for so often before it counts as not made.
LOOKS_AFTERWARDS = 3
BETWEEN_LOOKS = timedelta(seconds=5)
# Of so many differences an XCom tells each.
MOST_TOLD = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaOrder:
    """What the schema configuration of a connection is to be, and how far to go for it."""

    connection_id: str
    description: SchemaDescription
    others: OtherTables = "leave"
    """What becomes of schemas and tables that are enabled and not described, where others beside them are."""
    when_different: WhenDifferent = "change"
    when_missing: CheckMissing = "fail"
    when_no_schema: WhenNoSchema = "reload"
    reload: bool = False
    """Whether the source is read anew in any case."""
    reload_timeout: timedelta = RELOAD_TIMEOUT

    @property
    def link(self) -> str:
        """Where to look in the Fivetran dashboard."""
        return dashboard_link(self.connection_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChanges:
    """What was, or would be, changed."""

    connection_id: str
    differences: tuple[Difference, ...]
    is_changed: bool = False
    """Whether they were changed; otherwise they were only shown, or there are none."""
    is_prepared: bool = False
    """Fivetran has no schema yet, and was given the whole description to apply when it reads one."""
    failure: FivetranNotAsDescribed | None = None
    """They are not to be changed, or Fivetran did not change them."""

    def to_json(self) -> dict[str, Any]:
        """Write it as plain JSON, as it stands in the XCom ``fivetran_schema_changes``."""
        return {
            "connection_id": self.connection_id,
            "is_changed": self.is_changed,
            "is_prepared": self.is_prepared,
            "count": len(self.differences),
            "differences": [difference.to_json() for difference in self.differences[:MOST_TOLD]],
            "link": dashboard_link(self.connection_id),
        }


def ensure_schema(order: SchemaOrder, clock: Clock) -> Procedure[SchemaChanges]:
    """Look what there is, and change what differs in one request, which shows what there is then.

    Two requests; one more for a reload, and for each table of which the description names columns that Fivetran does
    not show, because nobody has touched them.

    :raises FivetranWrongDescription: something that is described does not exist, or Fivetran does not let it be so.
        Nothing was changed.
    :raises FivetranNotFound: Fivetran has not read the schema of the source yet, and is not to.
    :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached, or could not stop the sync
        that runs, for two minutes.
    """
    try:
        config = yield from _present_config(order, clock)
    except FivetranNotFound as error:
        if not has_no_schema(error) or order.when_different != "change" or order.when_no_schema != "prepare":
            raise
        prepare = prepare_schema_config(order.connection_id, order.description.body())
        yield from ask_patiently(prepare, clock, patience=PATIENCE)
        yield Note(
            f"{order.connection_id}: Fivetran has not read the schema of the source yet; it was given the "
            "description to apply when it does. Until then nothing tells whether it fits"
        )
        return SchemaChanges(connection_id=order.connection_id, differences=(), is_prepared=True)
    config = yield from _with_columns_in_question(order, config, clock)
    wanted = yield from _possible(order, config)
    if not wanted:
        yield Note(f"{order.connection_id}: the schema configuration is as described")
        return SchemaChanges(connection_id=order.connection_id, differences=())
    head = f"{order.connection_id}: the schema configuration is not as described in {_count(wanted)}:"
    told = in_lines(head, [difference.in_words() for difference in wanted])
    if order.when_different == "fail":
        return _not_as_described(order, told, wanted)
    yield Note(told)
    if order.when_different == "show":
        yield Note(f"{order.connection_id}: nothing was changed, for when_different is 'show'")
        return SchemaChanges(connection_id=order.connection_id, differences=wanted)
    change = change_schema_config(order.connection_id, body_of(config, wanted))
    answer = yield from ask_patiently(change, clock, patience=PATIENCE)
    left = yield from _not_taken(order, wanted, answer.value, clock)
    if left:
        head = f"{order.connection_id}: Fivetran took the changes of the schema configuration, and yet:"
        return _not_as_described(order, in_lines(head, [one.in_words() for one in left]), left)
    yield Note(f"{order.connection_id}: changed the schema configuration in {_count(wanted)}")
    return SchemaChanges(connection_id=order.connection_id, differences=wanted, is_changed=True)


def _present_config(order: SchemaOrder, clock: Clock) -> Procedure[SchemaConfig]:
    if order.reload and order.when_different != "change":
        yield Note(
            f"{order.connection_id}: the source is not read anew, for that would change what Fivetran knows, and "
            f"when_different is {order.when_different!r}"
        )
    elif order.reload:
        return (yield from _reloaded(order, clock))
    try:
        return (yield from read_config(order.connection_id, clock))
    except FivetranNotFound as error:
        if not has_no_schema(error) or order.when_different != "change" or order.when_no_schema != "reload":
            raise
        yield Note(f"{error}. Reloading it now")
        return (yield from _reloaded(order, clock))


def _reloaded(order: SchemaOrder, clock: Clock) -> Procedure[SchemaConfig]:
    return (yield from reload_config(order.connection_id, clock, timeout=order.reload_timeout))


def _with_columns_in_question(
    order: SchemaOrder, config: SchemaConfig, clock: Clock
) -> Procedure[SchemaConfig]:
    """The configuration with all columns of tables whose description names some that Fivetran does not show."""
    for place in _columns_in_question(config, order.description):
        try:
            config = yield from with_all_columns(order.connection_id, config, [place], clock)
        except FivetranUnauthorized:
            raise
        except FivetranError as error:
            if not error.permanent:
                raise
            yield Note(
                f"{order.connection_id}: whether the columns described for {place[1]!r} in {place[0]!r} exist is "
                f"not checked, for they cannot be read from the source: {error}",
                is_warning=True,
            )
    return config


def _columns_in_question(config: SchemaConfig, description: SchemaDescription) -> Iterator[tuple[str, str]]:
    for schema, described in (description.schemas or {}).items():
        for name, one in (described.tables or {}).items():
            table = config.table(schema, name)
            if table is not None and any(table.column(column) is None for column in one.columns):
                yield schema, name


def _possible(order: SchemaOrder, config: SchemaConfig) -> Procedure[tuple[Difference, ...]]:
    """What differs and can be changed.

    :raises FivetranWrongDescription: something that differs cannot.
    """
    found = tuple(without_others(differences(config, order.description), disable=order.others == "disable"))
    missing = [one.in_words() for one in found if one.kind == "missing"]
    locked = [one.in_words() for one in found if one.kind == "changed" and one.obstacle]
    if missing and order.when_missing == "ignore":
        yield Note(
            in_lines(f"{order.connection_id}: left out of what is described:", missing), is_warning=True
        )
        missing = []
    if missing or locked:
        head = (
            f"{order.connection_id}: the schema configuration cannot be as described, so nothing was changed:"
        )
        told = in_lines(head, [*missing, *locked])
        raise FivetranWrongDescription(
            f"{told}\nNames are those of the source, and case-sensitive.\n{order.link}",
            connection_id=order.connection_id,
            link=order.link,
        )
    asleep = list(_in_disabled_schemas(config, order.description))
    if asleep:
        yield Note(
            in_lines(f"{order.connection_id}: these will not be synced all the same:", asleep),
            is_warning=True,
        )
    return tuple(one for one in found if one.kind == "changed")


def _in_disabled_schemas(config: SchemaConfig, description: SchemaDescription) -> Iterator[str]:
    """Tables that are to be enabled in schemas that are not, and are not to be."""
    for name, described in (description.schemas or {}).items():
        schema = config.schema(name)
        is_on = schema is not None and schema.enabled if described.enabled is None else described.enabled
        if schema is not None and not is_on:
            for table, one in (described.tables or {}).items():
                if one.enabled:
                    yield f"the table {table!r}, for its schema {name!r} is not enabled"


def _not_taken(
    order: SchemaOrder, wanted: Sequence[Difference], config: SchemaConfig, clock: Clock
) -> Procedure[Sequence[Difference]]:
    """Look whether what was changed is so now; what is not, although Fivetran took the request."""
    left: list[Difference] = []
    for look in range(LOOKS_AFTERWARDS + 1):
        if look:
            yield Pause(clock() + BETWEEN_LOOKS)
            config = yield from read_config(order.connection_id, clock)
        left = _left(order, wanted, config) if config.is_given else list(wanted)
        if not left:
            break
    return left


def _left(order: SchemaOrder, wanted: Sequence[Difference], config: SchemaConfig) -> list[Difference]:
    now = without_others(differences(config, order.description), disable=order.others == "disable")
    places = {_place(one) for one in wanted}
    return [one for one in now if _place(one) in places]


def _place(one: Difference) -> tuple[str, ...]:
    return (one.part, one.schema, one.table, one.column, one.field)


def _count(wanted: Sequence[Difference]) -> str:
    return f"{len(wanted)} place{'' if len(wanted) == 1 else 's'}"


def _not_as_described(order: SchemaOrder, text: str, left: Sequence[Difference]) -> SchemaChanges:
    failure = FivetranNotAsDescribed(
        f"{text}\n{order.link}", connection_id=order.connection_id, link=order.link
    )
    return SchemaChanges(connection_id=order.connection_id, differences=tuple(left), failure=failure)
