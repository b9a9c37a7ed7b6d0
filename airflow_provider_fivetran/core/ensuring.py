"""Making a connection be as described: it is created once if it is missing, and changed only where it differs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_fivetran.core.differences import Comparison, compare, completed
from airflow_provider_fivetran.core.endpoints import run_setup_tests
from airflow_provider_fivetran.core.errors import (
    FivetranApiError,
    FivetranLookupError,
    FivetranNotAsDescribed,
    FivetranNotFound,
    FivetranServerError,
    FivetranUnexpectedAnswer,
    FivetranUnreachable,
    FivetranWrongDescription,
)
from airflow_provider_fivetran.core.secret import hide_by_name
from airflow_provider_fivetran.core.setup_check import checked
from airflow_provider_fivetran.core.setup_endpoints import (
    change_setup,
    create_connection,
    delete_connection,
    list_setups,
)
from airflow_provider_fivetran.core.setup_outcome import SetupOutcome
from airflow_provider_fivetran.core.steps import (
    PATIENCE,
    Note,
    Pause,
    ask,
    ask_pages,
    ask_patiently,
    patiently,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_fivetran.core.models import SetupTest
    from airflow_provider_fivetran.core.policies import SendSecrets, SetupTests, WhenDifferent
    from airflow_provider_fivetran.core.setup_outcome import Action
    from airflow_provider_fivetran.core.setups import Description, Setup
    from airflow_provider_fivetran.core.steps import Clock, Procedure
    from airflow_provider_fivetran.core.sync_schedule import SyncSchedule

__all__ = ["SetupOrder", "Untested", "create_once", "ensure", "find", "remove", "set_schedule"]

# After the answer to a creation was lost: pauses before looks for the connection, in seconds.
LOOKS_AFTER_LOST_ANSWER = (1, 2, 4, 8, 15, 30)
MOST_PAGES = 10
# With one of these Fivetran may refuse a second connection of the same name. That it does is not documented.
MAYBE_TAKEN = frozenset({400, 409})


class Untested:
    """Remembers of which connection setup tests are still to be run after a change: nothing of it shows that.

    This one remembers nothing; one of a task does so for its next try.
    """

    def recall(self) -> str | None:
        """The id of the connection that an earlier try has changed, and may not have tested."""
        return None

    def keep(self, connection_id: str) -> None:
        """It is about to be changed."""

    def forget(self) -> None:
        """Its setup tests have passed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOrder:
    """What a task wants of how a connection is set up."""

    description: Description
    when_different: WhenDifferent = "change"
    send_secrets: SendSecrets = "always"
    setup_tests: SetupTests = "when_needed"
    trust: Mapping[str, bool] | None = None
    """``trust_certificates`` and ``trust_fingerprints`` for the setup tests."""
    check_fields: bool = True
    awaits_person: bool = False
    """Somebody authorises it by a Connect Card, at whose end Fivetran itself runs the setup tests."""
    untested: Untested = field(default_factory=Untested)


def find(group_id: str, name: str, clock: Clock) -> Procedure[Setup | None]:
    """The connection of this name in the group, or ``None``.

    :raises FivetranLookupError: there is more than one.
    """
    call = list_setups(group_id=group_id, schema=name)
    rows = yield from patiently(lambda: ask_pages(call, most=MOST_PAGES), clock, patience=PATIENCE)
    known = [row for row in rows if row.connection.schema == name and row.connection.group_id == group_id]
    if len(known) > 1:
        ids = ", ".join(sorted(row.connection.id for row in known))
        raise FivetranLookupError(
            f"there is more than one connection named {name!r} in the group {group_id}: {ids}"
        )
    return known[0] if known else None


def ensure(order: SetupOrder, clock: Clock) -> Procedure[SetupOutcome]:
    """Make the connection be as described. Whatever was begun and broken off is finished by doing it again.

    :raises FivetranWrongDescription: the description does not fit the type, or describes a part of an object of
        which Fivetran hides another part. Nothing was changed.
    :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached for two minutes.
    """
    wanted = order.description
    found = yield from find(wanted.group_id, wanted.name, clock)
    if found is None or wanted.config or wanted.auth:
        wanted = yield from checked(wanted, clock, for_creation=found is None, by_metadata=order.check_fields)
    return (yield from _Ensuring(replace(order, description=wanted), clock).from_what_is(found))


def remove(group_id: str, name: str, when_different: WhenDifferent, clock: Clock) -> Procedure[SetupOutcome]:
    """Make the connection not be there. What it has loaded stays in the destination."""
    found = yield from find(group_id, name, clock)
    outcome = SetupOutcome(action="absent", name=name, group_id=group_id, setup=found)
    if found is None:
        return outcome
    if when_different != "change":
        return replace(outcome, action="would_delete", must_not_differ=when_different == "fail")
    with suppress(FivetranNotFound):  # as wanted; a request that was repeated finds it gone
        yield from ask_patiently(delete_connection(found.connection.id), clock, patience=PATIENCE)
    return replace(outcome, action="deleted")


def set_schedule(connection_id: str, wanted: SyncSchedule) -> Procedure[Setup]:
    """Give a connection this schedule, whatever it had before.

    :raises FivetranNotAsDescribed: Fivetran took it, and still shows another.
    """
    now = (yield from ask(change_setup(connection_id, wanted.changes()))).value
    if not wanted.is_met_by(now.schedule):  # what stands in ``schedule`` is ended by that field alone
        now = (yield from ask(change_setup(connection_id, wanted.changes(plainly=False)))).value
    if not wanted.is_met_by(now.schedule):
        link = now.connection.link
        raise FivetranNotAsDescribed(
            f"{connection_id} was given the schedule {wanted}, but Fivetran still shows {now.schedule}. {link}",
            connection_id=connection_id,
            link=link,
        )
    return now


def create_once(wanted: Description, body: Mapping[str, Any], clock: Clock) -> Procedure[tuple[Setup, bool]]:
    """Create the connection, and say whether it was this request that did.

    The request is sent once. Where its answer is lost, the list tells whether it took; where it is refused, whether
    somebody else was faster. Somebody who was as fast is seen at once, before either of the two syncs anything.

    :raises FivetranLookupError: somebody else has created one of this name in the same moment, or Fivetran has
        given it another name.
    :raises FivetranError: (one of its kinds) it was refused; or its answer was lost, and no connection shows itself
        within a minute. Doing it again begins with a look, and so cannot create a second one.
    """
    try:
        made = (yield from ask(create_connection(body))).value
    except (FivetranUnreachable, FivetranServerError, FivetranUnexpectedAnswer) as error:
        if isinstance(error, FivetranUnreachable) and not error.maybe_received:
            raise
        lost = error
    except FivetranApiError as refusal:
        if refusal.status not in MAYBE_TAKEN:
            raise
        theirs = yield from find(wanted.group_id, wanted.name, clock)
        if theirs is None:
            raise
        yield Note(f"{wanted.name}: somebody else has created it as {theirs.connection.id} meanwhile")
        return theirs, False
    else:
        _check_name(wanted, made)
        yield from _check_alone(wanted, made, clock)
        return made, True
    yield Note(f"{wanted.name}: looking whether it was created, for no answer told: {lost}", is_warning=True)
    for seconds in LOOKS_AFTER_LOST_ANSWER:
        yield Pause(clock() + timedelta(seconds=seconds))
        found = yield from find(wanted.group_id, wanted.name, clock)
        if found is not None:
            return found, True
    raise lost


def _check_alone(wanted: Description, made: Setup, clock: Clock) -> Procedure[None]:
    """Where Fivetran lets two have one name, somebody may have created another since we looked."""
    id_, link = made.connection.id, made.connection.link
    try:
        yield from find(wanted.group_id, wanted.name, clock)
    except FivetranLookupError as error:
        raise FivetranLookupError(
            f"{wanted.name!r} was created as {id_}, but somebody else has created it too: {error}. Nobody can tell "
            f"which one is meant, so delete {id_}, which is paused and has synced nothing, or the other. {link}",
            connection_id=id_,
            link=link,
        ) from None


def _check_name(wanted: Description, made: Setup) -> None:
    """What has another name would not be found again, and be created once more by each run."""
    named, id_, link = made.connection.schema, made.connection.id, made.connection.link
    if named != wanted.name:
        raise FivetranLookupError(
            f"{wanted.name!r} was created as {id_}, but Fivetran calls it {named!r}, by which no run would "
            f"find it. It is paused. Delete it, or call it {named!r} here too. {link}",
            connection_id=id_,
            link=link,
        )


class _Ensuring:
    """The way from what there is to what is described."""

    def __init__(self, order: SetupOrder, clock: Clock) -> None:
        self._order = order
        self._wanted = order.description
        self._clock = clock
        self._outcome = SetupOutcome(
            action="unchanged",
            name=self._wanted.name,
            group_id=self._wanted.group_id,
            service=self._wanted.service,
        )

    def from_what_is(self, found: Setup | None) -> Procedure[SetupOutcome]:
        if found is None:
            if self._order.when_different != "change":
                return self._only_told("would_create")
            now, is_ours = yield from create_once(self._wanted, self._new(), self._clock)
            if is_ours:
                yield Note(f"{self._wanted.name} is created as {now.connection.id}, paused for now")
                unknown = compare(self._wanted, now).unknown
                self._outcome = replace(
                    self._outcome, action="created", setup=now, unknown=unknown, secrets_sent=bool(unknown)
                )
                return (yield from self._finish(now, has_new_reach=True))
            found = now
        self._outcome = replace(self._outcome, setup=found)
        comparison = compare(self._wanted, found)
        self._outcome = replace(self._outcome, differences=comparison.differences, unknown=comparison.unknown)
        for difference in comparison.differences:
            yield Note(f"{self._wanted.name}: {difference}")
        if self._order.when_different != "change":
            yield from self._tell_unknown(comparison, sends=False)
            self._changes(comparison, found)  # a dry run too tells what could not be sent
            return self._only_told("would_change" if comparison.differences else "unchanged")
        if comparison.fixed:
            return replace(self._outcome, action="refused")
        return (yield from self._change(found, comparison))

    def _only_told(self, action: Action) -> SetupOutcome:
        return replace(self._outcome, action=action, must_not_differ=self._order.when_different == "fail")

    def _new(self) -> dict[str, Any]:
        """The body that creates it: paused, so that nothing is synced before all is as described."""
        wanted = self._wanted
        body: dict[str, Any] = {
            "group_id": wanted.group_id,
            "service": wanted.service,
            "paused": True,
            "config": dict(wanted.config),
            # Fivetran announces that it will become required.
            "destination_schema_names": "FIVETRAN_NAMING",
            **wanted.settings,
        }
        if wanted.auth:
            body["auth"] = dict(wanted.auth)
        if wanted.schedule is not None and wanted.schedule.is_plain:
            body |= wanted.schedule.changes()
        hidden: dict[str, Any] = hide_by_name(body)
        return hidden

    def _change(self, found: Setup, comparison: Comparison) -> Procedure[SetupOutcome]:
        """Change what differs in one request, and finish."""
        is_complete = found.connection.status.is_set_up
        reaches = [d for d in comparison.differences if d.field.startswith("config.")]
        sends = bool(comparison.unknown) and (
            bool(reaches) or not is_complete or self._order.send_secrets == "always"
        )
        if sends and not reaches and found.connection.is_syncing:
            yield Note(
                f"{self._wanted.name}: a sync runs, which sending the secrets anew would stop, so they are not sent "
                f"this time: {', '.join(comparison.unknown)}",
                is_warning=True,
            )
            sends = False
        else:
            yield from self._tell_unknown(comparison, sends=sends)
        changes = self._changes(comparison, found, with_unknown=sends)
        has_new_reach = bool(reaches) or self._order.untested.recall() == found.connection.id
        if not changes:
            return (yield from self._finish(found, has_new_reach=has_new_reach))
        if found.connection.is_syncing and changes.keys() & {"config", "auth"}:
            yield Note(
                f"{self._wanted.name}: a sync runs; Fivetran stops it for this change", is_warning=True
            )
        if reaches and self._is_to_be_tested(found, has_new_reach=True):
            self._order.untested.keep(found.connection.id)
        now = yield from self._send(found, changes)
        self._outcome = replace(
            self._outcome,
            action="changed" if comparison.differences else "renewed",
            setup=now,
            secrets_sent=sends,
        )
        return (yield from self._finish(now, has_new_reach=has_new_reach))

    def _tell_unknown(self, comparison: Comparison, *, sends: bool) -> Procedure[None]:
        if comparison.unknown:
            yield Note(
                f"{self._wanted.name}: Fivetran does not show {', '.join(comparison.unknown)}, so nobody can "
                f"compare that; it is {'sent anew' if sends else 'not sent'}"
            )

    def _changes(
        self, comparison: Comparison, now: Setup, *, with_unknown: bool = False, plainly: bool = True
    ) -> dict[str, Any]:
        """The body of the request that makes it as described, apart from letting it sync."""
        wanted = self._wanted
        fields = [difference.field for difference in comparison.differences]
        fields += comparison.unknown if with_unknown else ()
        hidden: list[str] = []
        changes: dict[str, Any] = {}
        for section, described, shown in (("config", wanted.config, now.config), ("auth", wanted.auth, {})):
            tops = {field.split(".")[1] for field in fields if field.startswith(f"{section}.")}
            if tops:
                changes[section] = {
                    name: completed(value, shown.get(name), f"{section}.{name}", hidden)
                    for name, value in described.items()
                    if name in tops
                }
        changes |= {
            name: completed(value, now.settings.get(name), name, hidden)
            for name, value in wanted.settings.items()
            if name in {f.split(".")[0] for f in fields}
        }
        if hidden:
            raise self._loses(now, hidden)
        if "schedule" in fields and wanted.schedule is not None:
            changes |= wanted.schedule.changes(now.schedule, plainly=plainly)
        if "paused" in fields and wanted.paused:
            changes["paused"] = True
        secret: dict[str, Any] = hide_by_name(changes)
        return secret

    def _loses(self, now: Setup, hidden: list[str]) -> FivetranWrongDescription:
        link = now.connection.link
        return FivetranWrongDescription(
            f"{self._wanted.name}: an object cannot be changed in part where Fivetran hides another part of it, "
            f"which the change might lose: {', '.join(hidden)}; describe it too, a secret by way of secrets. {link}",
            connection_id=now.connection.id,
            link=link,
        )

    def _send(self, now: Setup, changes: Mapping[str, Any]) -> Procedure[Setup]:
        call = change_setup(now.connection.id, changes)
        return (yield from ask_patiently(call, self._clock, patience=PATIENCE)).value

    def _finish(self, now: Setup, *, has_new_reach: bool) -> Procedure[SetupOutcome]:
        """See whether Fivetran took everything, run setup tests, and only then let it sync."""
        if self._outcome.action not in {"unchanged", "refused"}:
            now = yield from self._insist(now)
        if self._outcome.failure is None and self._is_to_be_tested(now, has_new_reach=has_new_reach):
            now, tests = yield from self._test(now)
            self._outcome = replace(self._outcome, setup=now, tests=tests, is_tested=True)
            if self._outcome.failure is None:
                self._order.untested.forget()
        if self._outcome.failure is None and self._wanted.paused is False and now.connection.paused:
            if self._order.awaits_person and not self._outcome.is_complete:
                yield Note(f"{self._wanted.name} stays paused until somebody has authorised it")
                return self._outcome
            now = yield from self._send(now, {"paused": False})
            is_new = self._outcome.action == "created"
            left = tuple(d for d in compare(self._wanted, now).differences if d.field == "paused")
            self._outcome = replace(
                self._outcome, action="created" if is_new else "changed", setup=now, left=left
            )
        return self._outcome

    def _insist(self, now: Setup) -> Procedure[Setup]:
        """Send what Fivetran still shows otherwise once more, and note what it shows otherwise even then."""
        left = _left(compare(self._wanted, now))
        again = self._changes(left, now, plainly=False)
        if again and not left.fixed:
            now = yield from self._send(now, again)
            left = _left(compare(self._wanted, now))
        silent = [d.field for d in compare(self._wanted, now).differences if not d.is_shown]
        if silent:
            yield Note(
                f"{self._wanted.name}: Fivetran took, and does not show, {', '.join(silent)}", is_warning=True
            )
        self._outcome = replace(self._outcome, setup=now, left=left.differences)
        return now

    def _is_to_be_tested(self, now: Setup, *, has_new_reach: bool) -> bool:
        is_complete = now.connection.status.is_set_up
        if self._order.setup_tests == "always":
            return is_complete or not self._order.awaits_person
        is_described = bool(self._wanted.config or self._wanted.auth)
        return (
            self._order.setup_tests == "when_needed"
            and is_described
            and not self._order.awaits_person
            and (has_new_reach or not is_complete)
        )

    def _test(self, now: Setup) -> Procedure[tuple[Setup, tuple[SetupTest, ...]]]:
        # Asked for until they were run: a later run sees no difference any more that would call for them.
        call = run_setup_tests(now.connection.id, trust=self._order.trust)
        tested = (yield from ask_patiently(call, self._clock, patience=PATIENCE)).value
        for test in tested.setup_tests:
            if test.has_failed or test.status == "warning":
                yield Note(f"{self._wanted.name}: setup test {test.status}: {test}", is_warning=True)
        return replace(now, connection=tested), tested.setup_tests


def _left(comparison: Comparison) -> Comparison:
    """What Fivetran shows otherwise than described, but for whether it syncs, which comes last."""
    rest = tuple(
        d for d in comparison.differences if d.is_shown and not (d.field == "paused" and d.wanted is False)
    )
    return Comparison(rest, comparison.unknown)
