"""The part of the hook that sets connections up: types, creating, changing, deleting, schedules and Connect Cards.

Making a connection be as described, step by step, stands in :mod:`airflow_provider_fivetran.core.ensuring`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_fivetran.arguments import check_choice, check_flag, check_text
from airflow_provider_fivetran.borrowed_secrets import read_secrets
from airflow_provider_fivetran.clock import utcnow
from airflow_provider_fivetran.connection_arguments import (
    check_card,
    check_fields,
    check_group,
    check_schedule,
    check_secrets,
    check_settings,
)
from airflow_provider_fivetran.core import setup_endpoints
from airflow_provider_fivetran.core.ensuring import SetupOrder, Untested, ensure, remove, set_schedule
from airflow_provider_fivetran.core.errors import FivetranNotFound
from airflow_provider_fivetran.core.policies import SendSecrets, SetupTests, WhenDifferent
from airflow_provider_fivetran.core.secret import hide_by_name
from airflow_provider_fivetran.core.setups import Description, put

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta

    from airflow_provider_fivetran.core.connector_types import ConnectorType
    from airflow_provider_fivetran.core.models import Group
    from airflow_provider_fivetran.core.protocol import Call, Page
    from airflow_provider_fivetran.core.setup_outcome import SetupOutcome
    from airflow_provider_fivetran.core.setups import ConnectCard, Setup
    from airflow_provider_fivetran.core.steps import Procedure

__all__ = ["ConnectionSetups"]

T = TypeVar("T")


class ConnectionSetups:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`.

    A secret is best not an argument: ``secrets`` names the Airflow connection that holds it, as in
    ``{"config.password": ("shop_db", "password")}``. It is read for the request that sends it, masked in Airflow's
    logs, and in no result, no error and no log line of this provider.
    """

    if TYPE_CHECKING:  # what the hook has

        def _value(self, call: Call[T]) -> T: ...

        def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]: ...

        def carry_out(self, procedure: Procedure[T]) -> T: ...

        def find_group(self, destination_name: str) -> Group: ...

    def list_connector_types(self) -> tuple[ConnectorType, ...]:
        """Read all types of connections, without their fields (``GET /v1/metadata/connector-types``, all pages)."""
        return self._pages(setup_endpoints.list_connector_types())

    def get_connector_type(self, service: str) -> ConnectorType:
        """Read a type with the fields that it is set up with (``GET /v1/metadata/connector-types/{service}``).

        :raises FivetranNotFound: there is no such type.
        """
        return self._value(setup_endpoints.get_connector_type(service))

    def ensure_connection(  # noqa: PLR0913 - one argument for each thing that can be described
        self,
        connector_name: str,
        *,
        service: str,
        group_id: str | None = None,
        destination_name: str | None = None,
        config: Mapping[str, Any] | None = None,
        auth: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Sequence[str]] | None = None,
        settings: Mapping[str, Any] | None = None,
        schedule: str | timedelta | Mapping[str, Any] | None = None,
        paused: bool | None = None,
        when_different: WhenDifferent = "change",
        send_secrets: SendSecrets = "always",
        setup_tests: SetupTests = "when_needed",
        trust_certificates: bool = False,
        trust_fingerprints: bool = False,
        check_metadata: bool = True,
        awaits_person: bool = False,
        untested: Untested | None = None,
        tell: Callable[[SetupOutcome], None] = lambda _outcome: None,
    ) -> SetupOutcome:
        """Make a connection be as described: create it if it is missing, and change only what differs.

        The arguments are those of :class:`~airflow_provider_fivetran.operators.FivetranConnectionOperator`.

        :param awaits_person: somebody authorises it later by a Connect Card, so no setup tests are run.
        :param untested: remembers for a later call that setup tests are still to be run; nothing does.
        :param tell: is called with the outcome, before an error is made of it.
        :raises ValueError: an argument is not allowed, or an Airflow connection lacks a secret.
        :raises FivetranWrongDescription: there is no such type, or a field is missing, unknown or wrong.
        :raises FivetranNotAsDescribed: it differs and ``when_different`` is ``"fail"``, or cannot be changed so.
        :raises FivetranSetupTestFailed: it is as described, but Fivetran does not get into the source.
        :raises FivetranLookupError: there is no such group, or more than one connection of the name.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        check_text("connector_name", connector_name)
        check_text("service", service)
        check_fields("config", config or {})
        check_fields("auth", auth or {})
        check_secrets(secrets or {})
        check_settings(settings or {})
        for name, value, kind in (
            ("when_different", when_different, WhenDifferent),
            ("send_secrets", send_secrets, SendSecrets),
            ("setup_tests", setup_tests, SetupTests),
        ):
            check_choice(name, value, kind)
        check_flag("paused", paused, optional=True)
        trust = _trusted(trust_certificates=trust_certificates, trust_fingerprints=trust_fingerprints)
        order = SetupOrder(
            description=Description(
                group_id=self._group(group_id, destination_name),
                name=connector_name,
                service=service,
                settings=settings or {},
                schedule=check_schedule(schedule),
                paused=paused,
                **_with_secrets(config or {}, auth or {}, secrets or {}),
            ),
            when_different=when_different,
            send_secrets=send_secrets,
            setup_tests=setup_tests,
            trust=trust,
            check_fields=check_metadata,
            awaits_person=awaits_person,
            untested=untested or Untested(),
        )
        return _judged(self.carry_out(ensure(order, utcnow)), tell)

    def remove_connection(
        self,
        connector_name: str,
        *,
        group_id: str | None = None,
        destination_name: str | None = None,
        when_different: WhenDifferent = "change",
        tell: Callable[[SetupOutcome], None] = lambda _outcome: None,
    ) -> SetupOutcome:
        """Make a connection not be there. What it has loaded stays in the destination.

        :param tell: is called with the outcome, before an error is made of it.
        :raises FivetranNotAsDescribed: it exists, and ``when_different`` is ``"fail"``.
        :raises FivetranLookupError: there is no such group, or more than one connection of the name.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
        """
        check_text("connector_name", connector_name)
        check_choice("when_different", when_different, WhenDifferent)
        group = self._group(group_id, destination_name)
        return _judged(self.carry_out(remove(group, connector_name, when_different, utcnow)), tell)

    def change_connection(
        self,
        connection_id: str,
        *,
        secrets: Mapping[str, Sequence[str]] | None = None,
        run_setup_tests: bool = False,
        trust_certificates: bool = False,
        trust_fingerprints: bool = False,
        **changes: Any,
    ) -> Setup:
        """Change a connection (``PATCH /v1/connections/{id}``).

        A change of ``config`` or ``auth`` stops a running sync.

        :param secrets: the fields of ``config`` and ``auth`` that are secrets, and where each comes from.
        :param run_setup_tests: run its setup tests after the change; their results are in
            ``connection.setup_tests`` of the answer, and one that fails is no error here. False.
        :param trust_certificates: let them approve each certificate of the source that they meet; False.
        :param trust_fingerprints: let them approve each SSH fingerprint that they meet; False.
        :param changes: fields of the request, such as ``config``, ``paused`` or ``sync_frequency``. An object within
            ``config`` is sent as it is given: that Fivetran keeps the rest of it is not documented.
        :raises ValueError: nothing is to be changed, ``config`` or ``auth`` is no dictionary, something is to be
            trusted by setup tests that are not run, or an Airflow connection lacks a secret.
        """
        check_secrets(secrets or {})
        check_flag("run_setup_tests", run_setup_tests)
        trust = _trusted(trust_certificates=trust_certificates, trust_fingerprints=trust_fingerprints)
        if trust and not run_setup_tests:
            raise ValueError(
                f"{' and '.join(trust)} is True, but run_setup_tests is False: only setup tests approve anything"
            )
        sections = {name: changes.pop(name, {}) for name in ("config", "auth")}
        for name, fields in sections.items():
            check_fields(name, fields)
        parts = _with_secrets(**sections, secrets=secrets or {})
        body = {**changes, **{name: value for name, value in parts.items() if value}}
        if not body:
            raise ValueError("nothing is to be changed")
        call = setup_endpoints.change_setup(
            connection_id, hide_by_name(body), setup_tests=run_setup_tests, trust=trust
        )
        return self._value(call)

    def set_schedule(self, connection_id: str, schedule: str | timedelta | Mapping[str, Any]) -> Setup:
        """Let Fivetran sync a connection by itself: never, every so often, by cron, or at a time of day (in UTC).

        :param schedule: ``"manual"``, ``{"interval": minutes}``, ``{"cron": "0 6 * * 1-5"}``, or
            ``{"time_of_day": "06:00"}`` with ``days_of_week`` or without.
        :raises ValueError: it is none of these.
        :raises FivetranNotAsDescribed: Fivetran took it, and still shows another.
        """
        wanted = check_schedule(schedule)
        if wanted is None:
            raise ValueError("schedule is None; allowed is one of the four kinds of schedules")
        return self.carry_out(set_schedule(connection_id, wanted))

    def delete_connection(self, connection_id: str) -> None:
        """Delete a connection (``DELETE /v1/connections/{id}``). One that does not exist is no error.

        What it has loaded stays in the destination. One that is made anew begins with a historical sync.
        """
        try:
            self._value(setup_endpoints.delete_connection(connection_id))
        except FivetranNotFound:  # as wanted; a request that was repeated finds it gone
            return

    def create_connect_card(self, connection_id: str, connect_card: Mapping[str, Any]) -> ConnectCard:
        """Make a link by which somebody authorises a connection (``POST /v1/connections/{id}/connect-card``).

        Whoever has the link can set up that connection, for a day: hand it to nobody else. It is masked in the log
        of the task that makes it.

        :param connect_card: ``redirect_uri``, to which people are sent afterwards; and, if they are wanted,
            ``hide_setup_guide`` and ``all_fields``.
        :raises ValueError: the address is none, or something else is given.
        """
        check_card(connect_card)
        card = self._value(setup_endpoints.create_connect_card(connection_id, connect_card))
        for secret in (card.token, card.uri):
            if secret:
                mask_secret(str(secret))
        return card

    def _group(self, group_id: str | None, destination_name: str | None) -> str:
        check_group(group_id, destination_name)
        return group_id if group_id is not None else self.find_group(str(destination_name)).id


def _with_secrets(
    config: Mapping[str, Any], auth: Mapping[str, Any], secrets: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, Any]]:
    """Both sections of a description, with each secret in its place."""
    tree: dict[str, Any] = {"config": dict(config), "auth": dict(auth)}
    for path, secret in read_secrets(secrets).items():
        tree = put(tree, path, secret)
    return tree


def _trusted(**flags: bool) -> dict[str, bool]:
    """What of it setup tests are to trust, as a request says it."""
    for name, trusts in flags.items():
        check_flag(name, trusts)
    return {name: trusts for name, trusts in flags.items() if trusts}


def _judged(outcome: SetupOutcome, tell: Callable[[SetupOutcome], None]) -> SetupOutcome:
    tell(outcome)
    failure = outcome.failure
    if failure is not None:
        raise failure
    return outcome
