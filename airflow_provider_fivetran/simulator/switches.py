"""Where Fivetran's documentation is silent or accounts differ, a switch decides; defaults are likeliest."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from .checking import check_choices, check_numbers, check_types

OkOrConflict = Literal["ok", "conflict"]
Availability = Literal["ok", "not_found", "forbidden"]


@dataclass
class Switches:
    """Set the attributes at any time; the next request sees them. :meth:`update` checks names and values."""

    # POST /sync without force while a sync runs: 200 that does nothing, or 409.
    sync_while_running: OkOrConflict = "ok"
    # POST /sync on a paused connection: 200 that does nothing, or 409.
    sync_while_paused: OkOrConflict = "ok"
    # POST /sync on a connection whose setup never passed: 200 that does nothing, or 409.
    sync_while_incomplete: OkOrConflict = "ok"
    # POST /resync while a sync runs: the re-sync follows that sync, or 409.
    resync_while_running: OkOrConflict = "ok"
    # A forced restart or a change that must stop a running sync answers 409, as after 60 seconds in vain.
    stop_fails: bool = False
    # Seconds that a running sync takes to stop after a pause.
    stop_lag: float = 0.2
    # Seconds between an accepted trigger and the state ``syncing``, on top of a plan's queue_delay.
    start_lag: float = 0.0
    # Unpausing under an automatic schedule starts a sync at once.
    sync_on_unpause: bool = False

    # GET /sync-history; True means "ok".
    history: Literal[True, "ok", "not_found", "forbidden"] = "ok"
    # Seconds before a started run shows itself in the history, and before its end does.
    history_lag: float = 0.0
    # The status word of an entry whose run has not ended; None leaves such entries out.
    history_running: str | None = "RUNNING"
    history_order: Literal["newest_first", "oldest_first"] = "newest_first"

    # A change of the field ``schedule``, which not every account has: taken, or passed over without a word.
    flexible_schedules: Literal["ok", "ignored"] = "ok"
    # Whether a connection is refused whose name another of its group has.
    names_are_unique: bool = True
    # Setup tests of a connection whose certificate nobody has trusted yet.
    setup_tests_need_trust: bool = False

    # Fields without a value: sent as null, as Fivetran does, or left out, as its definition would have it.
    unset_fields: Literal["null", "omit"] = "null"
    # GET /v1/connections and the other lists of connections; False answers 403.
    list_allowed: bool = True
    # GET /warnings and /errors were rolled out in stages.
    warnings: Availability = "ok"
    errors: Availability = "ok"

    # POST /schemas/reload answers with the schema config, or at once and with nothing.
    reload_shows_schemas: bool = True
    # Changes of a schema config are carried out, or only answered as if.
    schema_changes_take_effect: bool = True

    transformation_run_while_running: OkOrConflict = "conflict"
    transformation_run_while_paused: OkOrConflict = "ok"
    transformation_cancel_while_idle: OkOrConflict = "conflict"

    # Connections that have no interval of their own sync by themselves as often as their sync_frequency says. It
    # takes effect where a connection is added, or its sync_frequency changed.
    follow_sync_frequency: bool = False

    # Plain HTTP is taken as the address of a webhook if it leads to this very machine.
    webhook_http_to_loopback: bool = True
    # Whether test payloads are signed, as deliveries are.
    webhook_tests_signed: bool = True
    # The signature's hexadecimal digits.
    webhook_signature_case: Literal["upper", "lower"] = "upper"
    # A repeated delivery is signed with the secret of when the event happened, or with that of now.
    webhook_retries_keep_secret: bool = False
    # Real seconds in which a receiver must answer.
    webhook_timeout: float = 10.0
    # Shortens the pauses between attempts, and the three days until a webhook is deactivated.
    webhook_retry_factor: float = 1.0

    # Requests in one rolling hour before 429, and among them those that run setup tests.
    hourly_budget: int = 20_000
    setup_test_budget: int = 2_500

    def update(self, **values: Any) -> None:
        """Set several switches, or none: an unknown name or a wrong value raises ``ValueError``."""
        known = {field.name: field.default for field in fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"switch {name!r} is unknown; allowed: {', '.join(sorted(known))}")
            if name in _CHOICES:
                check_choices(name, value, _CHOICES[name])
            elif name == "history_running":
                check_types(name, value, str, type(None))
            else:
                _check_like(name, value, known[name])
        for name, value in values.items():
            setattr(self, name, value)


def _check_like(name: str, value: object, default: object) -> None:
    if isinstance(default, bool):
        check_types(name, value, bool)
    else:
        check_numbers(name, value)


_OK_OR_CONFLICT = ("ok", "conflict")
_AVAILABILITY = ("ok", "not_found", "forbidden")
_CHOICES: dict[str, tuple[object, ...]] = {
    "sync_while_running": _OK_OR_CONFLICT,
    "sync_while_paused": _OK_OR_CONFLICT,
    "sync_while_incomplete": _OK_OR_CONFLICT,
    "resync_while_running": _OK_OR_CONFLICT,
    "history": (True, *_AVAILABILITY),
    "history_order": ("newest_first", "oldest_first"),
    "flexible_schedules": ("ok", "ignored"),
    "unset_fields": ("null", "omit"),
    "warnings": _AVAILABILITY,
    "errors": _AVAILABILITY,
    "transformation_run_while_running": _OK_OR_CONFLICT,
    "transformation_run_while_paused": _OK_OR_CONFLICT,
    "transformation_cancel_while_idle": _OK_OR_CONFLICT,
    "webhook_signature_case": ("upper", "lower"),
}
