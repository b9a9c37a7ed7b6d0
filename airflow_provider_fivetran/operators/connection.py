"""The operator that makes a Fivetran connection be as it is described."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_fivetran.arguments import (
    check_choice,
    check_flag,
    check_text,
)
from airflow_provider_fivetran.connection_arguments import (
    check_card,
    check_fields,
    check_group,
    check_schedule,
    check_secrets,
    check_settings,
)
from airflow_provider_fivetran.core.policies import SendSecrets, SetupTests, WhenDifferent
from airflow_provider_fivetran.fivetran_task import FivetranTask
from airflow_provider_fivetran.links import FivetranConnectionLink

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta

    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_fivetran.core.setup_outcome import SetupOutcome
    from airflow_provider_fivetran.hooks import FivetranHook

__all__ = ["CONNECT_CARD_XCOM", "SETUP_XCOM", "FivetranConnectionOperator"]

State = Literal["present", "absent"]

# The XCom with what was found and done, and the one with the link for whoever authorises the connection.
SETUP_XCOM = "fivetran_connection"
CONNECT_CARD_XCOM = "fivetran_connect_card"
_POLICIES = {
    "state": State,
    "when_different": WhenDifferent,
    "send_secrets": SendSecrets,
    "setup_tests": SetupTests,
}
_FLAGS = ("trust_certificates", "trust_fingerprints", "check_metadata")


class FivetranConnectionOperator(FivetranTask, BaseOperator):
    """Makes a Fivetran connection be as described: creates it if it is missing, and changes only what differs.

    It is found by its name in its group, so the task may run as often as it likes, and one that was broken off is
    finished by the next try. Of what is not described nothing is looked at and nothing changed. The log shows each
    difference. Before anything is sent, the fields are checked against Fivetran's metadata of the type.

    A new connection is paused and syncs nothing, unless ``paused`` is ``False``: then it is let go at the very end,
    when all is as described and its setup tests have passed.

    Secrets come from Airflow connections and are in no log, no XCom and no rendered template. Fivetran never shows
    one again, so nobody can tell whether it is still the same: ``send_secrets`` says what follows.

    The return value is the id of the connection; ``None`` where there is none. The XCom ``fivetran_connection``
    holds what was found and done, of a task that fails too: ``action`` (``created``, ``changed``, ``renewed``,
    ``unchanged``, ``would_create``, ``would_change``, ``refused``, ``deleted``, ``would_delete``, ``absent``),
    ``differences``, ``not_comparable``, ``secrets_sent``, ``setup_state``, ``setup_tests``, ``link``, ...

    :param connector_name: name of the connection, which is that of its schema in the destination; of a type that
        loads one table ``"schema.table"``.
    :param destination_name: name of its destination in the dashboard (its group's name);
    :param group_id: or the id of the group.
    :param service: its type, as the API calls it: ``"postgres"``, ``"google_ads"``, ... Not needed where it is to be
        absent.
    :param config: fields of its type. Fields that name it (``schema``, ...) are filled in.
    :param auth: the ``auth`` section, for types that have one.
    :param secrets: for each secret field the Airflow connection that holds it, and where in it:
        ``{"config.password": ("shop_db", "password"), "auth.refresh_token": ("ads", "extra.refresh_token")}``.
        Allowed are ``password``, ``login``, ``host``, ``schema``, ``port`` and ``extra.KEY``.
    :param settings: what else can be described: ``networking_method``, ``private_link_id``, ``proxy_agent_id``,
        ``hybrid_deployment_agent_id``, ``external_secrets_manager_id``, ``destination_configuration``,
        ``destination_schema_names`` (``FIVETRAN_NAMING`` for a new one), ``data_delay_sensitivity``,
        ``data_delay_threshold`` (minutes), ``pause_after_trial``.
    :param schedule: when Fivetran syncs it by itself: ``"manual"``; ``{"interval": 60}``, minutes, or a timedelta;
        ``{"cron": "0 6 * * 1-5"}``; ``{"time_of_day": "06:00"}``, with ``"days_of_week": ["MONDAY"]`` or without. In
        UTC. Unset: it is left alone.
    :param paused: whether it is paused. Unset: a new one is, and another is left alone.
    :param connect_card: lets a person authorise it: ``{"redirect_uri": "https://..."}``, and if wanted
        ``hide_setup_guide`` and ``all_fields``. While its setup is not complete, each run makes a link that is good
        for a day and leaves it in the XCom ``fivetran_connect_card``, which is ``None`` otherwise; it is in no
        log. Whoever has it can set up this connection.
    :param state: ``"present"``; ``"absent"``: it is deleted, if it exists.
    :param confirm: where it is to be absent, ``connector_name`` once more.
    :param when_different: ``"change"``; ``"show"``: a dry run, which only reads and tells; ``"fail"``: an error that
        names each difference, and nothing is changed.
    :param send_secrets: what cannot be compared is sent anew ``"always"``, except while a sync runs, which that
        would stop; ``"when_needed"``: when it is created, when other fields of ``config`` differ, and while its
        setup is not complete.
    :param setup_tests: ``"when_needed"``: they are run when it is new, when ``config`` has changed, in this try or
        (from Airflow 3.3 on) one that was broken off before its tests, and while its setup is not complete;
        ``"always"``; ``"never"``. They use up a budget of the account.
    :param trust_certificates: let setup tests approve each certificate of the source that they meet; no.
    :param trust_fingerprints: let setup tests approve each SSH fingerprint that they meet; no.
    :param check_metadata: whether the fields are checked against Fivetran's metadata, which is one request. Without
        that, a type whose ``config`` is not named by ``schema`` needs the field that names it there.
    :param fivetran_conn_id: id of the Airflow connection; ``fivetran_default``.
    :param fivetran_retry_limit: how often a request that may be repeated is sent at most; 3.
    :param fivetran_retry_delay: seconds before the first repetition; 1; later pauses grow.
    :raises ValueError: an argument is not allowed (when the DAG is parsed), or an Airflow connection lacks a secret
        (when the task runs).
    :raises FivetranSetupTestFailed: it is as described, but Fivetran does not get into the source.
    :raises AirflowFailException: trying again would change nothing: there is no such type, or a field is missing,
        unknown or wrong (``FivetranWrongDescription``); it differs in what cannot be changed, or must not be
        (``FivetranNotAsDescribed``); the key lacks a right, ... The error itself is its ``__cause__``.
    """

    template_fields: Sequence[str] = (
        "connector_name",
        "destination_name",
        "group_id",
        "service",
        "config",
        "auth",
        "secrets",
        "settings",
        "connect_card",
        "confirm",
        "fivetran_conn_id",
    )
    operator_extra_links = (FivetranConnectionLink(),)
    ui_color = "#e6f0ff"

    def __init__(
        self,
        *,
        connector_name: str,
        destination_name: str | None = None,
        group_id: str | None = None,
        service: str | None = None,
        config: Mapping[str, Any] | None = None,
        auth: Mapping[str, Any] | None = None,
        secrets: Mapping[str, Sequence[str]] | None = None,
        settings: Mapping[str, Any] | None = None,
        schedule: str | timedelta | Mapping[str, Any] | None = None,
        paused: bool | None = None,
        connect_card: Mapping[str, Any] | None = None,
        state: State = "present",
        confirm: str | None = None,
        when_different: WhenDifferent = "change",
        send_secrets: SendSecrets = "always",
        setup_tests: SetupTests = "when_needed",
        trust_certificates: bool = False,
        trust_fingerprints: bool = False,
        check_metadata: bool = True,
        fivetran_conn_id: str = "fivetran_default",
        fivetran_retry_limit: int = 3,
        fivetran_retry_delay: float = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.connector_name = connector_name
        self.destination_name = destination_name
        self.group_id = group_id
        self.service = service
        self.config = config
        self.auth = auth
        self.secrets = secrets
        self.settings = settings
        self.schedule = schedule
        self.paused = paused
        self.connect_card = connect_card
        self.state = state
        self.confirm = confirm
        self.when_different = when_different
        self.send_secrets = send_secrets
        self.setup_tests = setup_tests
        self.trust_certificates = trust_certificates
        self.trust_fingerprints = trust_fingerprints
        self.check_metadata = check_metadata
        self.fivetran_conn_id = fivetran_conn_id
        self.fivetran_retry_limit = fivetran_retry_limit
        self.fivetran_retry_delay = fivetran_retry_delay
        self._check_arguments()

    def _check_arguments(self) -> None:
        check_text("connector_name", self.connector_name)
        check_group(self.group_id, self.destination_name)
        for name, allowed in _POLICIES.items():
            check_choice(name, getattr(self, name), allowed)
        if self.state == "present":
            check_text("service", self.service)
        self._check_confirmed()
        for name in ("config", "auth"):
            check_fields(name, getattr(self, name) or {})
        check_secrets(self.secrets or {})
        check_settings(self.settings or {})
        check_schedule(self.schedule)
        check_flag("paused", self.paused, optional=True)
        check_card(self.connect_card)
        for name in _FLAGS:
            check_flag(name, getattr(self, name))
        self._check_way_to_fivetran()
        self._expect(self.template_fields)

    def _check_confirmed(self) -> None:
        """To delete the wrong connection would cost a historical sync."""
        wanted = self.connector_name if self.state == "absent" else None
        if self.confirm != wanted:
            allowed = (
                f"connector_name once more, {wanted!r}, for the connection is to be deleted"
                if self.state == "absent"
                else "nothing where the connection is to be present"
            )
            raise ValueError(f"confirm is {self.confirm!r}; allowed is {allowed}")

    def execute(self, context: Context) -> str | None:
        """Look what there is, and do what is missing."""
        from airflow_provider_fivetran.raising import failing_at_once_when_pointless  # noqa: PLC0415

        self._check_confirmed()  # templates may have made something else of it
        with failing_at_once_when_pointless(), self._hook() as hook:
            self._check_found()
            for name in ("config", "auth"):
                check_fields(name, {} if getattr(self, name) is None else getattr(self, name))
            outcome = self._carry_out(hook, context)
            self.log.info("%s", outcome)
            if self.connect_card is not None and self.state == "present":
                context["ti"].xcom_push(key=CONNECT_CARD_XCOM, value=self._card(hook, outcome))
            return outcome.connection_id

    def _carry_out(self, hook: FivetranHook, context: Context) -> SetupOutcome:
        def tell(outcome: SetupOutcome) -> None:
            context["ti"].xcom_push(key=SETUP_XCOM, value=outcome.to_json())
            if outcome.link is not None:
                FivetranConnectionLink.persist(context, outcome.link)

        from airflow_provider_fivetran.operators.setup_memo import NotedUntested  # noqa: PLC0415

        where = {"group_id": self.group_id, "destination_name": self.destination_name}
        if self.state == "absent":
            return hook.remove_connection(
                self.connector_name, **where, when_different=self.when_different, tell=tell
            )
        return hook.ensure_connection(
            self.connector_name,
            service=self.service or "",
            **where,
            config=self.config,
            auth=self.auth,
            secrets=self.secrets,
            settings=self.settings,
            schedule=self.schedule,
            paused=self.paused,
            when_different=self.when_different,
            send_secrets=self.send_secrets,
            setup_tests=self.setup_tests,
            trust_certificates=self.trust_certificates,
            trust_fingerprints=self.trust_fingerprints,
            check_metadata=self.check_metadata,
            awaits_person=self.connect_card is not None,
            untested=NotedUntested(context, self.retries),
            tell=tell,
        )

    def _card(self, hook: FivetranHook, outcome: SetupOutcome) -> str | None:
        """The link for whoever authorises the connection, where somebody has to."""
        if outcome.connection_id is None or outcome.is_complete:
            return None
        if self.when_different != "change":
            self.log.info("Somebody has to authorise %s; no link is made for that now", outcome.connection_id)
            return None
        card = hook.create_connect_card(outcome.connection_id, self.connect_card or {})
        self.log.info(
            "Somebody has to authorise %s: the link to its Connect Card, good for a day, is the XCom %s",
            outcome.connection_id,
            CONNECT_CARD_XCOM,
        )
        return str(card.uri)
