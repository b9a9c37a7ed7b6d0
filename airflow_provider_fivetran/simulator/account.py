"""The account: all that Fivetran would remember, behind one lock, brought up to date when somebody looks."""

from __future__ import annotations

import random
import threading
import uuid
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

from .checking import check_choices, check_numbers
from .past import remember_past
from .problems import conflict, invalid, not_found
from .records import Connection, Group, ScheduleType, SetupState, SyncFrequency, SyncPlan, User
from .syncs import Syncs
from .timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .clock import Clock
    from .records import Key, Run
    from .switches import Switches
    from .syncs import Tell
    from .transformations import Transformation

DEFAULT_GROUP = "sim_group"
DEFAULT_USER = "sim_user"
# The definition names this one among those that cannot load single tables anew, but not the others.
NO_TABLE_RESYNC = frozenset({"google_sheets"})


class Account:
    """Groups, connections, keys, users and transformations.

    Hold :attr:`lock` while reading several things that must fit together.
    """

    def __init__(
        self,
        clock: Clock,
        switches: Switches,
        key: Key,
        tell: Tell,
        *,
        seed: int = 0,
        lands_in: str | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.switches = switches
        self.account_id = "sim_account"
        self.account_name = "Simulated Fivetran"
        self._key = key
        self._random = random.Random(seed)
        self._lands_in = lands_in
        self._timetable = Timetable()
        self._syncs = Syncs(switches, self._new_id, tell, lands=lands_in is not None)
        self.clear()

    def clear(self) -> None:
        """Forget everything, back to one group, one user and one key."""
        with self.lock:
            now = self.clock.now()
            self._syncs.log.clear()
            self._timetable.clear()
            self._plan = SyncPlan()
            self.connections: dict[str, Connection] = {}
            self.transformations: dict[str, Transformation] = {}
            self.groups = {DEFAULT_GROUP: Group(id=DEFAULT_GROUP, name="Warehouse", created_at=now)}
            if self._lands_in is not None:  # Fivetran has no such type of destination
                warehouse = self.groups[DEFAULT_GROUP]
                warehouse.service, warehouse.config = "duckdb", {"path": self._lands_in}
            self.users = {DEFAULT_USER: User(id=DEFAULT_USER, email="sim@example.com", created_at=now)}
            self.keys = {self._key.key: self._key}

    # -- keys, groups, users --

    def put_key(self, key: Key) -> None:
        with self.lock:
            self.keys[key.key] = key

    def add_group(self, group: Group) -> None:
        with self.lock:
            self.groups[group.id] = group

    def group(self, group_id: str, kind: str = "Group") -> Group:
        with self.lock:
            if group_id not in self.groups:
                raise not_found(kind, group_id)
            return self.groups[group_id]

    # -- connections --

    def set_default_plan(self, plan: SyncPlan) -> None:
        """The plan of connections that are added without one."""
        self._plan = plan

    def add_connection(
        self,
        connection_id: str,
        *,
        plans: Iterable[SyncPlan] = (),
        default_plan: SyncPlan | None = None,
        **fields: Any,
    ) -> Connection:
        """Add a connection; ``fields`` are those of :class:`Connection`."""
        with self.lock:
            now = self.clock.now()
            group_id = fields.pop("group_id", DEFAULT_GROUP)
            service = fields.pop("service", "postgres")
            fields.setdefault("resyncs_tables", service not in NO_TABLE_RESYNC)
            self.group(group_id)
            if connection_id in self.connections:
                raise ValueError(f"id is {connection_id!r}; allowed: one that no connection has yet")
            connection = Connection(
                id=connection_id,
                group_id=group_id,
                service=service,
                schema=fields.pop("schema", None) or connection_id,
                created_at=fields.pop("created_at", now),
                default_plan=default_plan or self._plan,
                plans=deque(plans),
                **fields,
            )
            _check_connection(connection)
            connection.enabled_at = now
            remember_past(connection, now)
            self._plan_own_syncs(connection, now)
            self.connections[connection_id] = connection
            self._syncs.log.setdefault(connection_id, [])
            self._timetable.may_change(connection)
            return connection

    def connection(self, connection_id: str) -> Connection:
        """The connection as it is now."""
        with self.lock:
            if connection_id not in self.connections:
                raise not_found("Connection", connection_id)
            connection = self.connections[connection_id]
            self._syncs.advance(connection, self.clock.now())
            self._timetable.may_change(connection)
            return connection

    def new_connection_id(self) -> str:
        with self.lock:
            return "".join(self._random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(16))

    def runs(self, connection_id: str) -> list[Run]:
        """Every sync of a connection that really started, also of one deleted since, oldest first."""
        return [run for run in self.accepted(connection_id) if run.started_at is not None]

    def known_ids(self) -> list[str]:
        """Every connection that ever was, also those deleted since."""
        with self.lock:
            return list(self._syncs.log)

    def accepted(self, connection_id: str) -> list[Run]:
        """Every sync that was ever accepted, also those that never started."""
        with self.lock:
            if connection_id not in self._syncs.log:
                raise not_found("Connection", connection_id)
            if connection_id in self.connections:
                self.connection(connection_id)
            return list(self._syncs.log[connection_id])

    # -- what moves them --

    def advance(self) -> None:
        """Bring everything up to the present."""
        with self.lock:
            now = self.clock.now()
            for connection in self._timetable.due(now):
                if self.connections.get(connection.id) is connection:
                    self._syncs.advance(connection, now)
                    self._timetable.note(connection, self._syncs.next_event(connection))
            for transformation in self.transformations.values():
                transformation.advance(now)

    def trigger(self, connection_id: str, *, force: bool = False) -> None:
        """What ``POST /sync`` does, with the switches deciding where the documentation is silent."""
        with self.lock:
            connection = self.connection(connection_id)
            now = self.clock.now()
            if connection.setup_state == "incomplete":
                return _refuse_or_ignore(
                    self.switches.sync_while_incomplete, f"{connection_id} is not set up"
                )
            if connection.paused:
                return _refuse_or_ignore(self.switches.sync_while_paused, f"{connection_id} is paused")
            run = connection.run
            if run is not None and not force:
                choice = self.switches.sync_while_running if run.running else "ok"
                return _refuse_or_ignore(choice, f"a sync of {connection_id} is already in progress")
            if run is not None:
                self._stop_or_refuse(connection)
            if connection.run is None:  # else a re-sync that waited for the stopped one took its place
                self._syncs.accept(connection, now, "force" if force else "api")
            return None

    def start_sync(self, connection_id: str) -> Run | None:
        """Start a sync as Fivetran's own schedule would; None if one runs or the connection is paused."""
        with self.lock:
            connection = self.connection(connection_id)
            if connection.paused or connection.run is not None:
                return None
            return self._syncs.accept(connection, self.clock.now(), "schedule")

    def resync(self, connection_id: str, tables: dict[str, list[str]] | None = None) -> None:
        with self.lock:
            connection = self.connection(connection_id)
            if tables is not None and not connection.resyncs_tables:
                raise invalid(f"Service '{connection.service}' does not support table-level re-sync")
            if connection.run is not None and self.switches.resync_while_running == "conflict":
                raise conflict("A data sync is already in progress and cannot be completed")
            self._syncs.resync(connection, self.clock.now(), tables)

    def restart_as_historical(self, connection_id: str) -> None:
        """What ``PATCH {"is_historical_sync": true}`` does: at once, in place of a running sync."""
        with self.lock:
            connection = self.connection(connection_id)
            self._stop_or_refuse(connection)
            self._syncs.resync(connection, self.clock.now())

    def pause(self, connection_id: str) -> None:
        with self.lock:
            connection = self.connection(connection_id)
            if not connection.paused:
                self._refuse_if_stuck(connection)
                self._syncs.pause(connection, self.clock.now())

    def unpause(self, connection_id: str) -> None:
        with self.lock:
            self._syncs.unpause(self.connection(connection_id), self.clock.now())

    def set_schedule_type(self, connection_id: str, schedule_type: ScheduleType) -> None:
        with self.lock:
            connection = self.connection(connection_id)
            if connection.schedule_type != schedule_type:
                check_choices("schedule_type", schedule_type, get_args(ScheduleType))
                connection.schedule_type = schedule_type
                self._syncs.enable(connection, self.clock.now())

    def set_sync_frequency(self, connection_id: str, minutes: int | None) -> None:
        with self.lock:
            connection = self.connection(connection_id)
            connection.sync_frequency = minutes
            self._plan_own_syncs(connection, self.clock.now())

    def set_schedule(self, connection_id: str, schedule: dict[str, Any]) -> None:
        """What the field ``schedule`` does: it stands above ``sync_frequency``."""
        if self.switches.flexible_schedules == "ignored":
            return
        with self.lock:
            connection = self.connection(connection_id)
            kind = schedule["schedule_type"]
            connection.flexible_schedule = schedule if kind in {"CRON", "TIME_OF_DAY"} else {}
            if kind != "MANUAL":
                self.set_sync_frequency(connection_id, schedule.get("interval"))
            self.set_schedule_type(connection_id, "manual" if kind == "MANUAL" else "auto")

    def stop_for_change(self, connection_id: str) -> None:
        """What comes before a change of how the source is reached: a running sync is stopped."""
        with self.lock:
            connection = self.connection(connection_id)
            if connection.run is not None:
                self._stop_or_refuse(connection)

    def authorize(self, connection_id: str) -> None:
        """Fill in a Connect Card, at whose end Fivetran runs the setup tests."""
        with self.lock:
            self.connection(connection_id).authorized = True
            self.run_setup_tests(connection_id, trusts_certificates=True)

    def cancel(self, connection_id: str) -> None:
        """End the current sync as a person does in the dashboard."""
        with self.lock:
            self._syncs.cancel(self.connection(connection_id), self.clock.now())

    def delete(self, connection_id: str) -> None:
        with self.lock:
            self._syncs.cancel(self.connection(connection_id), self.clock.now())
            del self.connections[connection_id]

    def break_setup(self, connection_id: str, *, test_heals: bool = False) -> None:
        """Break the setup. A sync that ends well heals it; a setup test only where ``test_heals``."""
        with self.lock:
            connection = self.connection(connection_id)
            connection.setup_state = "broken"
            connection.setup_test_status = "PASSED" if test_heals else "FAILED"

    def delay(self, connection_id: str) -> None:
        """Let the data be delayed beyond the threshold until a sync ends well."""
        with self.lock:
            self.connection(connection_id).update_state = "delayed"

    def run_setup_tests(
        self, connection_id: str, *, trusts_certificates: bool = False
    ) -> list[dict[str, Any]]:
        """Run the setup tests, which decide the setup state anew."""
        with self.lock:
            connection = self.connection(connection_id)
            trusted = trusts_certificates or not self.switches.setup_tests_need_trust
            passed = connection.setup_test_status == "PASSED" and connection.authorized and trusted
            if passed:
                connection.setup_state = "connected"
            elif connection.setup_state == "connected":
                connection.setup_state = "broken"
            message = "" if passed else "Could not log in to the source"
            return [
                {"title": "Connecting to the host", "status": "PASSED", "message": ""},
                {
                    "title": "Validating access",
                    "status": "PASSED" if passed else "FAILED",
                    "message": message,
                },
            ]

    # -- landing --

    def ready_to_land(self) -> list[tuple[Connection, Run]]:
        """The runs whose rows have to be written before they have ended well."""
        with self.lock:
            self.advance()
            if self._lands_in is None:
                return []
            pairs = [(connection, connection.run) for connection in self.connections.values()]
            return [(connection, run) for connection, run in pairs if run is not None and run.landing]

    def landed(self, connection: Connection, run: Run, error: str | None) -> None:
        with self.lock:
            self._syncs.landed(connection, run, self.clock.now(), error)
            self._timetable.may_change(connection)

    # -- transformations --

    def add_transformation(self, transformation: Transformation) -> None:
        with self.lock:
            self.group(transformation.group_id)
            self.transformations[transformation.id] = transformation

    def transformation(self, transformation_id: str) -> Transformation:
        with self.lock:
            if transformation_id not in self.transformations:
                raise not_found("Transformation", transformation_id)
            transformation = self.transformations[transformation_id]
            transformation.advance(self.clock.now())
            return transformation

    # -- helpers --

    def _plan_own_syncs(self, connection: Connection, now: datetime) -> None:
        """Let the own schedule count from now, if there is one."""
        interval = connection.every
        if interval is None and self.switches.follow_sync_frequency and connection.sync_frequency is not None:
            interval = connection.sync_frequency * 60.0
        connection.interval = interval
        connection.scheduled_at = None if interval is None else now + timedelta(seconds=interval)

    def _new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _stop_or_refuse(self, connection: Connection) -> None:
        self._refuse_if_stuck(connection)
        self._syncs.cancel(connection, self.clock.now())

    def _refuse_if_stuck(self, connection: Connection) -> None:
        if self.switches.stop_fails and connection.run is not None and connection.run.running:
            raise conflict("Failed to stop in-progress sync after trying for 60 seconds")


def _refuse_or_ignore(choice: str, why: str) -> None:
    if choice == "conflict":
        raise conflict(f"Cannot start a sync: {why}")


def _check_connection(connection: Connection) -> None:
    if not connection.id.strip():
        raise ValueError(f"id of a connection is {connection.id!r}; allowed: a text that is not empty")
    check_choices("setup_state", connection.setup_state, get_args(SetupState))
    check_choices("schedule_type", connection.schedule_type, get_args(ScheduleType))
    check_choices("sync_frequency", connection.sync_frequency, (None, *SyncFrequency))
    for name in ("past_every", "past_failing"):
        if getattr(connection, name) is not None:
            check_numbers(name, getattr(connection, name), least=1)
    if connection.every is not None:
        check_numbers("every", connection.every, least=0.001)
