"""Rotating the two keys of an Airflow connection and its fallback, so that one of them works at every moment.

A key is rotated only right after the other one has been seen to work, through its own Airflow connection. So
whatever happens in between, at most one key is dead; tasks and waits go on with the other, as they do whenever a key
is refused; and the next rotation finds the dead one and renews it first.
"""

from __future__ import annotations

import base64
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, BaseHook, mask_secret

from airflow_provider_fivetran.airflow_connection import fallback_of, settings_of
from airflow_provider_fivetran.core.errors import (
    FivetranError,
    FivetranForbidden,
    FivetranKeyNotStored,
    FivetranKeyNotUsable,
    FivetranUnauthorized,
)
from airflow_provider_fivetran.core.moments import write_moment
from airflow_provider_fivetran.core.protocol import Credentials
from airflow_provider_fivetran.core.system_keys import lesser_rights
from airflow_provider_fivetran.hooks import FivetranHook

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_fivetran.core.models import Account
    from airflow_provider_fivetran.core.policies import ExpirationPeriod
    from airflow_provider_fivetran.core.secret import Secret
    from airflow_provider_fivetran.core.system_keys import SystemKey
    from airflow_provider_fivetran.key_stores import Store

__all__ = ["SETTLING", "KeyRotation"]

log = logging.getLogger(__name__)

# Seconds that a secrets backend may take to hand out what was stored, to whichever process asks.
SETTLING = 60.0
BETWEEN_LOOKS = 3.0
STORE_ATTEMPTS = 3


@dataclass(slots=True)
class Holder:
    """An Airflow connection, and what is known of the key that it holds."""

    conn_id: str
    key: str
    """Its login, or what stands for it."""
    is_empty: bool
    works: bool = False
    key_id: str = ""


class KeyRotation:
    """Rotates the system keys of an Airflow connection and of the one that is its ``fallback_conn_id``.

    :param conn_id: id of the Airflow connection.
    :param admin: the hook with the key of an account administrator: system keys cannot manage system keys.
    :param store: puts login and password into an Airflow connection; see
        :mod:`~airflow_provider_fivetran.key_stores`.
    :param expiration_period: until when the new secrets are accepted.
    :param settling: seconds that a stored secret may take until each process of Airflow is handed it.
    :param sleep: how to pass seconds.
    """

    def __init__(
        self,
        conn_id: str,
        admin: FivetranHook,
        store: Store,
        *,
        expiration_period: ExpirationPeriod = "INFINITE",
        settling: float = SETTLING,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._conn_id = conn_id
        self._admin = admin
        self._store = store
        self._expiration_period = expiration_period
        self._settling = settling
        self._sleep = sleep

    def rotate(self) -> list[dict[str, Any]]:
        """Renew both keys, one after the other.

        :return: of each, in the order in which they were renewed, ``conn_id``, ``system_key_id``, ``name`` and
            ``expires_at``; no secret.
        :raises FivetranKeyNotUsable: these two are no pair that can be rotated; nothing was changed.
        :raises FivetranKeyNotStored: a new secret could not be stored, or is not handed out. The other key works.
        :raises FivetranError: (one of its kinds) Fivetran refused, or could not be reached.
        """
        main, spare = self._find()
        self._check_store(main, spare)
        if not spare.key_id:
            self._create(spare, like=main)
        elif main.works:  # a dead one is mended whatever the other may do
            self._check_rights(main, spare)
        # A dead one first, so that there are two that work before a working one is touched.
        order = [main, spare] if spare.works and not main.works else [spare, main]
        first, second = order
        renewed = self._renew(first, second)
        if self._settling:
            log.info("Waiting %g s, for so long other processes may be handed the old secret", self._settling)
            self._sleep(self._settling)
        return [renewed, self._renew(second, first)]

    # --- looking ----------------------------------------------------------------------------------------------

    def _find(self) -> tuple[Holder, Holder]:
        """Which system keys the two Airflow connections hold."""
        account = self._admin.get_account()
        if account.system_key_id:
            raise FivetranKeyNotUsable(
                f"Airflow connection {self._admin.fivetran_conn_id!r} has a system key, but system keys are "
                "managed only with the API key of a user who is an account administrator"
            )
        known = self._known_keys()
        conn_id = self._conn_id
        fallback = fallback_of(_read(conn_id).extra_dejson, conn_id)
        if fallback is None:
            raise FivetranKeyNotUsable(
                f"Airflow connection {conn_id!r} has no 'fallback_conn_id': without a second key, rotating leaves "
                "every task without one for a moment. Add a second connection and name it there"
            )
        main, spare = (
            self._look(conn_id, account.account_id, known),
            self._look(fallback, account.account_id, known),
        )
        if main.is_empty:
            raise FivetranKeyNotUsable(f"Airflow connection {conn_id!r} holds no key: put a system key there")
        if main.key_id == spare.key_id:
            raise FivetranKeyNotUsable(
                f"Airflow connections {conn_id!r} and {fallback!r} have the same system key ({main.key_id}): "
                "rotating it would leave nothing. Empty login and password of the second: then a key is made for it"
            )
        return main, spare

    def _known_keys(self) -> Sequence[SystemKey]:
        try:
            return self._admin.list_system_keys()
        except FivetranForbidden as error:
            raise FivetranKeyNotUsable(
                f"the user whose key is in Airflow connection {self._admin.fivetran_conn_id!r} is no account "
                f"administrator, and may not manage system keys: {error}"
            ) from error

    def _look(self, conn_id: str, account_id: str, known: Sequence[SystemKey]) -> Holder:
        """Ask Fivetran whose key it is; a key that is refused is looked for among those that there are."""
        conn = _read(conn_id)
        holder = Holder(conn_id, _key_in(conn), is_empty=not conn.login and not conn.password)
        try:
            account = self._own_account(conn_id) if conn.password else None
        except FivetranUnauthorized:
            account = None
        except ValueError as error:
            raise FivetranKeyNotUsable(str(error)) from None
        if holder.is_empty:
            return holder
        if account is None:
            holder.key_id = next((one.id for one in known if one.key == holder.key), "")
            if not holder.key_id:
                raise FivetranKeyNotUsable(
                    f"the key of Airflow connection {conn_id!r} is refused, and is no system key of the account: "
                    "put one there. (Where it is the second of the pair, login and password may both be empty: then "
                    "a key is made for it)"
                )
            return holder
        if account.account_id != account_id:
            raise FivetranKeyNotUsable(
                f"Airflow connection {conn_id!r} leads to the Fivetran account {account.account_id}, that of the "
                f"administrator to {account_id}"
            )
        if not account.system_key_id:
            raise FivetranKeyNotUsable(
                f"Airflow connection {conn_id!r} has the API key of a user, which only that user can replace, in "
                "the dashboard: put a system key there"
            )
        holder.works, holder.key_id = True, account.system_key_id
        return holder

    def _check_store(self, *holders: Holder) -> None:
        check = getattr(self._store, "check", None)
        if check is not None:
            for holder in holders:
                check(holder.conn_id)

    def _check_rights(self, main: Holder, spare: Holder) -> None:
        """Check that the second key may do what the first may, for tasks go on with it."""
        lesser = lesser_rights(
            self._admin.get_system_key(spare.key_id), than=self._admin.get_system_key(main.key_id)
        )
        if lesser:
            raise FivetranKeyNotUsable(
                f"the system key {spare.key_id} of Airflow connection {spare.conn_id!r} may do less than "
                f"{main.key_id}, that of {main.conn_id!r}, with {', '.join(lesser)}: tasks that go on with it while "
                "the other is rotated would lack rights. Give both the same permissions"
            )

    def _create(self, spare: Holder, *, like: Holder) -> None:
        """Make the second key; its secret follows.

        One of that name that is there already is not taken: nothing in Fivetran's answers tells for certain whether
        an earlier try has made it, or somebody has its secret, which would die.
        """
        model = self._admin.get_system_key(like.key_id)
        name = f"{model.name}_spare"
        if name in {key.name for key in self._admin.list_system_keys()}:
            raise FivetranKeyNotUsable(
                f"a second key, {name!r}, is to be made for Airflow connection {spare.conn_id!r}, but there is a "
                "system key of that name. If an earlier try of this task has made it and broke off before it was "
                "stored, delete it; otherwise rename it, or put it into that connection"
            )
        made = self._admin.create_system_key(
            name, permissions=model.permissions, expiration_period=self._expiration_period
        )
        log.info("Made the system key %s (%s) with the permissions of %s", made.id, name, model.name)
        spare.key_id = made.id

    # --- changing ---------------------------------------------------------------------------------------------

    def _renew(self, holder: Holder, other: Holder) -> dict[str, Any]:
        # Where neither is accepted there is nothing to lose, and this is the way out.
        if (holder.works or other.works) and (refusal := self._refusal(other)) is not None:
            raise FivetranKeyNotStored(
                f"the key of Airflow connection {holder.conn_id!r} was not rotated, for that of "
                f"{other.conn_id!r} does not work now: {refusal}"
            )
        left = _left(holder, other)
        key = self._rotated(holder, left)
        holder.works = False
        log.info("Rotated the system key %s of Airflow connection %s", key.id, holder.conn_id)
        if key.secret is None:
            raise FivetranKeyNotStored(
                f"Fivetran rotated the system key {key.id}, but sent no secret. {left}"
            )
        secret, login = key.secret.reveal(), key.key or holder.key
        for hidden in (login, Credentials.of(login, secret).header.removeprefix("Basic ")):
            mask_secret(hidden)
        self._put(holder, login, secret, left)
        self._prove(holder, left)
        log.info("Airflow connection %s has the new secret, and Fivetran accepts it", holder.conn_id)
        return {
            "conn_id": holder.conn_id,
            "system_key_id": key.id,
            "name": key.name,
            "expires_at": key.expires_at and write_moment(key.expires_at),
        }

    def _rotated(self, holder: Holder, left: str) -> SystemKey:
        """Rotate a key. Where that fails, look whether it has died all the same: an answer may have been lost."""
        try:
            return self._admin.rotate_system_key(holder.key_id, expiration_period=self._expiration_period)
        except FivetranError as error:
            if holder.is_empty:
                log.warning("%s", self._take_back(holder))
            if not holder.works or (refusal := self._refusal(holder)) is None:
                raise
            raise FivetranKeyNotStored(
                f"the system key {holder.key_id} of Airflow connection {holder.conn_id!r} was to be rotated "
                f"({error}), and does not work now ({refusal}): an answer with a new secret may have been lost. "
                f"{left}"
            ) from error

    def _put(self, holder: Holder, login: str, secret: Secret, left: str) -> None:
        for attempt in range(1, STORE_ATTEMPTS + 1):
            try:
                self._store(holder.conn_id, login, secret)
            except Exception as error:  # noqa: BLE001 - a store of anybody's, whose words may repeat what it got
                why = f"{type(error).__name__}: {str(error).replace(secret, '***').replace(login, '***')}"
            else:
                return
            if attempt < STORE_ATTEMPTS:
                self._sleep(BETWEEN_LOOKS)
        if holder.is_empty:
            left = self._take_back(holder)
        # Out of the except clause, for the error has the secret among the variables of its traceback.
        raise FivetranKeyNotStored(
            f"the new secret of Airflow connection {holder.conn_id!r} could not be stored ({why}). {left}"
        )

    def _take_back(self, holder: Holder) -> str:
        """Delete the key that was just made, whose secret nobody has: so the next try can make it anew."""
        try:
            self._admin.revoke_system_key(holder.key_id)
        except FivetranError as error:
            return (
                f"The system key {holder.key_id} was just made for it and could not be deleted again ({error}): "
                "delete it before the next try"
            )
        return f"The system key {holder.key_id}, which was just made for it, was deleted again"

    def _prove(self, holder: Holder, left: str) -> None:
        waited = 0.0
        while (refusal := self._refusal(holder)) is not None:
            if waited >= self._settling:
                raise FivetranKeyNotStored(
                    f"Airflow connection {holder.conn_id!r} was given a new secret, but what Airflow hands out "
                    f"after {waited:g} s does not work: {refusal}. Is the connection defined elsewhere too? {left}"
                )
            self._sleep(BETWEEN_LOOKS)
            waited += BETWEEN_LOOKS
        holder.works = True

    def _refusal(self, holder: Holder) -> str | None:
        """Why the key that Airflow hands out now is not the one that it should be and works; ``None`` if it is."""
        try:
            account = self._own_account(holder.conn_id)
        except (AirflowException, FivetranError, ValueError) as error:
            return str(error)
        if account.system_key_id != holder.key_id:
            return f"it holds the key {account.system_key_id or account.user_id}, not {holder.key_id}"
        return None

    def _own_account(self, conn_id: str) -> Account:
        return FivetranHook(
            conn_id,
            fivetran_retry_limit=self._admin.fivetran_retry_limit,
            fivetran_retry_delay=self._admin.fivetran_retry_delay,
        ).own_account()


def _left(holder: Holder, other: Holder) -> str:
    """What is left where the new secret does not arrive."""
    if holder.is_empty:
        return f"The system key {holder.key_id} was just made for it, and nothing else was changed"
    living = f"; that of {other.conn_id!r} works, and tasks go on with it" if other.works else ""
    return f"The key of {holder.conn_id!r} is dead until the next rotation, which renews it first{living}"


def _read(conn_id: str) -> Any:
    """Read an Airflow connection.

    :raises FivetranError: it does not exist, or cannot be read for now: an api-server that is too busy to answer a
        worker looks the same.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowException as error:
        raise FivetranError(
            f"Airflow connection {conn_id!r} cannot be read ({error}). If it does not exist, add it, of the type "
            "fivetran; the second of the pair may be without login and password"
        ) from None


def _key_in(conn: Any) -> str:
    """The key of an Airflow connection; empty where it holds none."""
    try:
        header = settings_of(conn, {}).credentials.header
    except ValueError:
        return conn.login or ""
    return base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")[0]
