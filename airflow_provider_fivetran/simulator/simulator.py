"""The simulator as tests hold it: an account, its clock, its faults, its log, and a way to serve them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .account import DEFAULT_GROUP, Account
from .clock import Clock
from .deliveries import Deliveries
from .faults import Faults
from .people import People
from .problems import too_many
from .records import Group, Key, User
from .switches import Switches
from .system_keys import ALL_PERMISSIONS, SystemKeys
from .traffic import Budget, count
from .transformations import Transformation
from .webhooks import Webhooks
from .written import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from .landing import Landing
    from .records import Connection, Run, SyncPlan
    from .system_keys import SystemKey
    from .traffic import Request

DEFAULT_KEY = "sim-key"
DEFAULT_SECRET = "sim-secret"  # noqa: S105 - opens nothing but the simulator
# A simulator that serves for days remembers the latest requests only.
_LONGEST_LOG = 100_000


class Simulator:
    """A local Fivetran.

    ``speed`` is how many simulated seconds pass in one real second; 0 makes a clock that only
    ``simulator.clock.advance(seconds)`` moves. ``duckdb`` names a file into which syncs land rows.
    """

    def __init__(
        self,
        *,
        speed: float = 1.0,
        seed: int = 0,
        duckdb: str | Path | None = None,
        key: str = DEFAULT_KEY,
        secret: str = DEFAULT_SECRET,
    ) -> None:
        self.seed = seed
        # The address while it is served.
        self.url = ""
        self.clock = Clock(speed)
        self.switches = Switches()
        self.faults = Faults(seed)
        self.requests: list[Request] = []
        self.webhooks = Webhooks()
        self.deliveries = Deliveries(self.clock, self.switches, self.webhooks, seed=seed)
        first_key = Key(key=key, secret=secret)
        self.account = Account(
            self.clock,
            self.switches,
            first_key,
            self.deliveries.tell_of_sync,
            seed=seed,
            lands_in=None if duckdb is None else str(duckdb),
        )
        self.people = People()
        self.system_keys = SystemKeys(self.clock, self.account, seed=seed)
        self.written = Written()
        self._landing = _open_landing(duckdb, seed)
        self._budget = Budget()
        self._setup_test_budget = Budget()

    @contextmanager
    def serving(self, *, host: str = "127.0.0.1", port: int = 0, any_host: bool = False) -> Iterator[str]:
        """Serve from a thread until the block ends; gives the base URL."""
        # The web server is imported where it is needed, so that plans and faults can be described without it.
        from .postman import Postman  # noqa: PLC0415
        from .server import Server  # noqa: PLC0415

        server = Server(self, host, port, any_host=any_host)
        before = self.deliveries.postman
        with Postman() as postman, server.running() as url:
            self.url, self.deliveries.postman = url, postman
            try:
                yield url
            finally:
                self.deliveries.postman = before

    def reset(self) -> None:
        """Forget everything but the clock and the first key: account, faults, switches, log and budgets."""
        with self.account.lock:
            self.faults.clear()
            self.requests.clear()
            self.switches.update(**vars(Switches()))
            self._budget.clear()
            self._setup_test_budget.clear()
            self.webhooks.clear()
            self.deliveries.clear()
            self.account.clear()
            self.people.clear()
            self.system_keys.clear()

    # -- describing the account --

    def add_key(self, key: str, secret: str, **rights: Any) -> Key:
        """Add a key, or give it a new secret; ``rights`` are those of :class:`~.records.Key`."""
        for name in ("groups", "hidden"):
            if rights.get(name) is not None:
                rights[name] = frozenset(rights[name])
        made = Key(key=key, secret=secret, **rights)
        self.account.put_key(made)
        return made

    def revoke(self, key: str) -> None:
        """From now on the key is refused with 401."""
        self.account.keys.pop(key, None)

    def add_system_key(
        self, name: str, *, permissions: Iterable[dict[str, Any]] = ALL_PERMISSIONS, **fields: Any
    ) -> SystemKey:
        """Add a system key as the API would; ``key``, ``secret`` and ``id`` are chosen where they are not given."""
        with self.account.lock:
            return self.system_keys.add(name, list(permissions), **fields)

    def add_group(self, group_id: str, name: str | None = None, **fields: Any) -> Group:
        """Add a group and the destination that shares its id."""
        group = Group(id=group_id, name=name or group_id, created_at=self.clock.now(), **fields)
        self.account.add_group(group)
        return group

    def add_user(self, user_id: str, email: str, **fields: Any) -> User:
        user = User(id=user_id, email=email, created_at=self.clock.now(), **fields)
        self.account.users[user_id] = user
        return user

    def add_connection(self, connection_id: str, **fields: Any) -> Connection:
        """Add a connection.

        ``fields`` are those of :class:`~.records.Connection`: ``group_id``, ``service``, ``schema``,
        ``paused``, ``setup_state``, ``schedule_type``, ``every``, ``succeeded_at`` and so on. ``plans`` are
        used one for each sync, ``default_plan`` afterwards.
        """
        if fields.get("setup_state", "connected") != "connected":
            fields.setdefault("setup_test_status", "FAILED")
        return self.account.add_connection(connection_id, **fields)

    def add_transformation(
        self, transformation_id: str, *, group_id: str = DEFAULT_GROUP, **fields: Any
    ) -> Transformation:
        """Add a transformation: ``duration``, ``queue_delay``, ``stop_delay`` and ``outcome`` say how runs go."""
        made = Transformation(id=transformation_id, group_id=group_id, created_at=self.clock.now(), **fields)
        self.account.add_transformation(made)
        return made

    # -- what happens in it --

    def start_sync(self, connection_id: str) -> Run | None:
        """Start a sync as Fivetran's own schedule would; None if one runs or the connection is paused."""
        return self.account.start_sync(connection_id)

    def pause(self, connection_id: str) -> None:
        self.account.pause(connection_id)

    def unpause(self, connection_id: str) -> None:
        self.account.unpause(connection_id)

    def cancel(self, connection_id: str) -> None:
        """End the current sync as a person does in the dashboard: no timestamp moves."""
        self.account.cancel(connection_id)

    def delete(self, connection_id: str) -> None:
        """Delete the connection; the truth about its runs stays."""
        self.account.delete(connection_id)

    def break_setup(self, connection_id: str, *, test_heals: bool = False) -> None:
        """Break the setup until a sync ends well, or a setup test runs where ``test_heals``."""
        self.account.break_setup(connection_id, test_heals=test_heals)

    def authorize(self, connection_id: str) -> None:
        """Let somebody fill in the Connect Card of the connection; Fivetran then runs the setup tests."""
        self.account.authorize(connection_id)

    def delay(self, connection_id: str) -> None:
        """Let Fivetran call the connection delayed until a sync ends well."""
        self.account.delay(connection_id)

    def run_transformation(self, transformation_id: str, *, full_refresh: bool = False) -> None:
        """Run a transformation as Fivetran's own schedule would; nothing happens while a run is under way."""
        with self.account.lock:
            transformation = self.account.transformation(transformation_id)
            if not transformation.busy:
                transformation.run(self.clock.now(), self.switches, full_refresh=full_refresh)

    def cancel_transformation(self, transformation_id: str) -> None:
        """Cancel its run as a person does in the dashboard."""
        with self.account.lock:
            self.account.transformation(transformation_id).cancel(self.clock.now(), self.switches)

    def delete_transformation(self, transformation_id: str) -> None:
        with self.account.lock:
            self.account.transformations.pop(transformation_id, None)

    def set_plan(self, connection_id: str, plan: SyncPlan) -> None:
        """Plan all syncs to come; the one that runs keeps its plan."""
        with self.account.lock:
            connection = self.account.connection(connection_id)
            connection.plans.clear()
            connection.default_plan = plan

    def set_source(self, connection_id: str, tables: dict[str, dict[str, list[str]]]) -> None:
        """Let the source hold these columns, by schema and table. Fivetran learns of it with a sync or a reload."""
        with self.account.lock:
            self.account.connection(connection_id).source.put(tables)

    def tick(self) -> None:
        """Bring the account up to the present, write the rows and send the webhooks that are due.

        A simulator that is served does so by itself.
        """
        for connection, run in self.account.ready_to_land():
            error = self._landing.land(connection.schema, self.clock.now()) if self._landing else None
            self.account.landed(connection, run, error)
        self.deliveries.send_due()

    # -- what happened --

    def runs(self, connection_id: str) -> list[Run]:
        """The truth: every sync that started, oldest first."""
        return self.account.runs(connection_id)

    def accepted(self, connection_id: str) -> list[Run]:
        """Like :meth:`runs`, with those that were accepted and have not started or never will."""
        return self.account.accepted(connection_id)

    def note(self, request: Request) -> None:
        self.requests.append(request)
        if len(self.requests) > _LONGEST_LOG:
            del self.requests[: _LONGEST_LOG // 10]

    def count(self, method: str | None = None, path: str | None = None) -> int:
        """How many requests used this method and have a path in which this regular expression is found."""
        return count(list(self.requests), method, path)

    # -- budgets --

    def spend_request(self) -> int:
        """Count a request; the number that remains, or the refusal."""
        return self._spend(self._budget, self.switches.hourly_budget)

    def spend_setup_test(self) -> None:
        self._spend(self._setup_test_budget, self.switches.setup_test_budget)

    def _spend(self, budget: Budget, limit: int) -> int:
        now = self.clock.now()
        remaining = budget.spend(now, limit)
        if remaining is None:
            raise too_many(limit, self.clock.real_seconds(budget.seconds_until_free(now)))
        return remaining


def _open_landing(path: str | Path | None, seed: int) -> Landing | None:
    if path is None:
        return None
    from .landing import Landing  # noqa: PLC0415 - duckdb is an extra

    return Landing(path, seed)
