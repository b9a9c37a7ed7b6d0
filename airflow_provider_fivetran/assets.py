"""Assets for what Fivetran lands: to schedule DAGs on, and to read what their events say.

Naming an asset asks nobody: it happens when a DAG file is parsed. Airflow 2 calls assets *datasets* and has no
watchers for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_provider_fivetran.core.asset_uris import DEFAULT_HOST, Subject

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import AssetWatcher

    from airflow_provider_fivetran.core.verdicts import SyncRecord

__all__ = [
    "account_asset",
    "checked_outlets",
    "connection_asset",
    "create_asset",
    "failure_asset",
    "group_asset",
    "normalize",
    "sync_record_of",
    "to_openlineage",
]

IS_AIRFLOW_2 = not hasattr(Asset, "watchers")

_TOO_EARLY = (
    "would be told of data that has not landed, for wait_for_completion is False; give it to the FivetranSensor "
    "that waits"
)


def connection_asset(
    connector_id: str, *, host: str = DEFAULT_HOST, watchers: Sequence[AssetWatcher] = ()
) -> Asset:
    """The asset of one Fivetran connection, ``fivetran://<host>/<connector_id>``.

    An event of it says that a sync of the connection ended well. Events come from a task that has the asset among
    its ``outlets``, from a watcher, or from Fivetran's webhooks.

    :param connector_id: id of the Fivetran connection; no template, for the asset must be known when the DAG is
        parsed.
    :param host: that of the Airflow connection, with its port if it has one; ``api.fivetran.com``.
    :param watchers: what emits the events by itself (Airflow 3 and newer).
    :raises ValueError: one of them is not allowed.
    """
    if connector_id is None:
        raise ValueError("connector_id is None; allowed is the id of a Fivetran connection")
    return _asset(Subject(connection_id=connector_id, host=host), watchers)


def group_asset(group_id: str, *, host: str = DEFAULT_HOST, watchers: Sequence[AssetWatcher] = ()) -> Asset:
    """The asset of all connections of a group, ``fivetran://<host>/groups/<group_id>``.

    An event of it says that a sync of one of them ended well; which one, the event says.

    :param group_id: id of the group, which is also that of its destination.
    :param host: as for :func:`connection_asset`.
    :param watchers: as for :func:`connection_asset`.
    :raises ValueError: one of them is not allowed.
    """
    if group_id is None:
        raise ValueError("group_id is None; allowed is the id of a Fivetran group")
    return _asset(Subject(group_id=group_id, host=host), watchers)


def account_asset(*, host: str = DEFAULT_HOST, watchers: Sequence[AssetWatcher] = ()) -> Asset:
    """The asset of all connections that the key may see, ``fivetran://<host>/account``.

    An event of it says that a sync of one of them ended well; which one, the event says.

    :param host: as for :func:`connection_asset`.
    :param watchers: as for :func:`connection_asset`.
    :raises ValueError: one of them is not allowed.
    """
    return _asset(Subject(host=host), watchers)


def failure_asset(
    connector_id: str | None = None,
    *,
    group_id: str | None = None,
    host: str = DEFAULT_HOST,
    watchers: Sequence[AssetWatcher] = (),
) -> Asset:
    """The asset of syncs that did **not** end well, ``fivetran://<host>/failures/...``.

    It is never the outlet of a task, for outlets are told of successes: a watcher or Fivetran's webhooks emit its
    events.

    :param connector_id: syncs of this connection,
    :param group_id: or of any connection of this group; with neither, of any that the key may see.
    :param host: as for :func:`connection_asset`.
    :param watchers: as for :func:`connection_asset`.
    :raises ValueError: one of them is not allowed, or both ids are given.
    """
    return _asset(Subject(connection_id=connector_id, group_id=group_id, failures=True, host=host), watchers)


def sync_record_of(event: object) -> SyncRecord:
    """What an event says about the sync it is of: the same as the XCom ``fivetran_sync``.

    :param event: an asset event, as from ``triggering_asset_events`` or ``inlet_events``, or its ``extra``,
        whoever emitted it: a task, a watcher (whose record Airflow wraps), or Fivetran's webhooks.
    :raises ValueError: it has no such record; it may have been created by a person.
    """
    from airflow_provider_fivetran.core.verdicts import SyncRecord  # noqa: PLC0415

    extra = event if isinstance(event, Mapping) else getattr(event, "extra", None)
    said = extra if isinstance(extra, Mapping) else {}
    payload = said.get("payload") if said.get("from_trigger") else said
    try:
        return SyncRecord.from_json(payload)  # type: ignore[arg-type]  # what is none is refused there
    except ValueError as error:
        raise ValueError(
            f"the event has no record of a sync ({error}); its extra is {str(extra)[:300]}"
        ) from None


def checked_outlets(
    outlets: Sequence[Any],
    table_assets: AssetAlias | None = None,
    *,
    waits: bool = True,
    is_mapped: bool = False,
) -> list[Any]:
    """The outlets of a task that stands for a sync, after a look at what it was given.

    :param table_assets: the alias for tables, which becomes an outlet if it is none yet.
    :param waits: whether the task waits for the end of the sync.
    :param is_mapped: whether the task is one of a mapped one.
    :raises ValueError: an asset of ours among them would tell something wrong, or the alias is none.
    """
    for outlet in outlets:
        subject = Subject.of(getattr(outlet, "uri", ""))
        why = None if subject is None else _why_no_outlet(subject, outlet, waits=waits)
        if subject is not None and why is not None:
            raise ValueError(f"outlets has {subject.uri}, which {why}")
    if table_assets is None:
        return list(outlets)
    if not isinstance(table_assets, AssetAlias):
        raise ValueError(f"table_assets is {table_assets!r}; allowed is an AssetAlias")  # noqa: TRY004
    if not waits:
        raise ValueError(f"table_assets {_TOO_EARLY}")
    if table_assets in outlets:
        return list(outlets)
    if is_mapped and IS_AIRFLOW_2:
        # It knows of the outlets that are given to ``partial`` only, and fails a task that ends with others.
        raise ValueError(f"table_assets is {table_assets!r}; of a mapped task give it to outlets too")
    return [*outlets, table_assets]


def _why_no_outlet(subject: Subject, outlet: object, *, waits: bool) -> str | None:
    if subject.failures:
        return "is about syncs that do not end well, but an outlet is told of successes; give it a watcher"
    if getattr(outlet, "watchers", None):
        return "has a watcher, which tells of every sync already; give the one or the other"
    return None if waits else _TOO_EARLY


def _asset(subject: Subject, watchers: Sequence[AssetWatcher]) -> Asset:
    # Without a name of its own, it is the same asset as one that somebody makes with the URI alone.
    if not watchers:
        return Asset(uri=subject.uri)
    if IS_AIRFLOW_2:
        raise ValueError(f"watchers is {watchers!r}; assets have watchers in Airflow 3 and newer only")
    for watcher in watchers:
        _check_watcher(subject, getattr(watcher, "trigger", None))
    return Asset(uri=subject.uri, watchers=list(watchers))


def _check_watcher(subject: Subject, trigger: object) -> None:
    """Refuse a watcher of ours that tells of something else than the asset stands for."""
    if (
        type(trigger).__name__ != "FivetranSyncEndedTrigger"
    ):  # whose module a DAG file need not import for this
        return
    failures, ids = getattr(trigger, "failures", None), getattr(trigger, "connector_id", None)
    told = "syncs that do not end well" if failures else "syncs that end well"
    if failures != subject.failures:
        raise ValueError(f"watchers: {subject.uri} has one with failures={failures}, which tells of {told}")
    if subject.connection_id is not None and ids != [subject.connection_id]:
        raise ValueError(f"watchers: {subject.uri} has one of {ids or 'all connections'}")


# --- what Airflow asks for the scheme, by the provider's metadata -------------------------------------------


def normalize(uri: SplitResult) -> SplitResult:
    """Spell a URI of ours in the one way; one that stands for nothing here stays as it is."""
    subject = Subject.of(uri.geturl())
    return uri if subject is None else uri._replace(netloc=subject.host)


def create_asset(
    *, connector_id: str, host: str = DEFAULT_HOST, extra: dict[str, Any] | None = None
) -> Asset:
    """Make the asset of a connection for what hooks report as lineage."""
    return Asset(uri=Subject(connection_id=connector_id, host=host).uri, extra=extra)


def to_openlineage(asset: Asset, lineage_context: object) -> Dataset:  # noqa: ARG001  # Airflow's signature
    """The OpenLineage dataset of an asset: its namespace is the account's address, its name the rest."""
    from airflow.providers.common.compat.openlineage.facet import Dataset  # noqa: PLC0415

    namespace, _, name = asset.uri.partition("://")[2].partition("/")
    return Dataset(namespace=f"fivetran://{namespace}", name=name)
