"""The part of the hook that manages system keys. Only a user's key of an account administrator may do so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_fivetran.arguments import check_choice, check_text
from airflow_provider_fivetran.core import account_endpoints, endpoints
from airflow_provider_fivetran.core.policies import ExpirationPeriod
from airflow_provider_fivetran.core.system_keys import Permission
from airflow_provider_fivetran.hook_account import check_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from airflow_provider_fivetran.core.models import Account
    from airflow_provider_fivetran.core.protocol import Call, Page, Settings
    from airflow_provider_fivetran.core.system_keys import SystemKey

__all__ = ["SystemKeyCalls"]

T = TypeVar("T")


class SystemKeyCalls:
    """Methods of :class:`~airflow_provider_fivetran.hooks.FivetranHook`.

    Fivetran shows a secret once, in the answer that makes it. It is ``secret`` of the :class:`SystemKey`, sealed:
    ``secret.reveal()`` gives it, and Airflow's logs mask it. Neither the record nor the secret can be an XCom
    by mistake: store the secret in the task that made it.
    """

    if TYPE_CHECKING:  # what the hook has
        fivetran_retry_limit: int
        fivetran_retry_delay: float
        _own_key: Callable[[], Iterator[Settings]]

        def _value(self, call: Call[T]) -> T: ...

        def _pages(self, call: Call[Page[T]]) -> tuple[T, ...]: ...

        def _delete(self, call: Call[None]) -> None: ...

    def list_system_keys(self) -> tuple[SystemKey, ...]:
        """Read all system keys (``GET /v1/system-keys``, all pages). Fivetran may leave out their permissions."""
        return self._pages(account_endpoints.list_system_keys())

    def get_system_key(self, key_id: str) -> SystemKey:
        """Read one system key with its permissions (``GET /v1/system-keys/{id}``).

        :raises FivetranNotFound: there is none.
        """
        return self._value(account_endpoints.get_system_key(key_id))

    def create_system_key(
        self,
        name: str,
        *,
        permissions: Sequence[Permission | Mapping[str, Any]],
        expiration_period: ExpirationPeriod = "INFINITE",
    ) -> SystemKey:
        """Make a system key (``POST /v1/system-keys``).

        :param name: begins with a letter or an underscore, and has only letters, digits and underscores.
        :param permissions: what it may do, each a :class:`Permission` or a mapping with ``resource_type``,
            ``access_level`` and, to narrow it, ``ids`` or ``group_ids``.
        :param expiration_period: ``"INFINITE"``, ``"ONE_WEEK"``, ``"ONE_MONTH"``, ``"THREE_MONTHS"``,
            ``"SIX_MONTHS"``.
        :raises ValueError: one of them is not allowed.
        """
        check_text("name", name)
        check_choice("expiration_period", expiration_period, ExpirationPeriod)
        body = {"name": name, "expiration_period": expiration_period, "permissions": _written(permissions)}
        return _masked(self._value(account_endpoints.create_system_key(body)))

    def change_system_key(self, key_id: str, **changes: Any) -> SystemKey:
        """Change a system key (``PATCH /v1/system-keys/{id}``). Its secret stays as it is.

        :param changes: ``name``, ``permissions``, those of them that change; all permissions, not the new ones only.
        :raises ValueError: something else is to be changed, or nothing, or a permission is not allowed.
        """
        check_changes(changes, ("name", "permissions"))
        if "permissions" in changes:
            changes["permissions"] = _written(changes["permissions"])
        return self._value(account_endpoints.change_system_key(key_id, changes))

    def rotate_system_key(
        self, key_id: str, *, expiration_period: ExpirationPeriod = "INFINITE"
    ) -> SystemKey:
        """Give a system key a new secret (``POST /v1/system-keys/{id}/rotate``). The old one dies at once.

        ``FivetranRotateKeyOperator`` does it so that no DAG is left without a key.

        :param expiration_period: as for :meth:`create_system_key`.
        """
        check_choice("expiration_period", expiration_period, ExpirationPeriod)
        return _masked(self._value(account_endpoints.rotate_system_key(key_id, expiration_period)))

    def revoke_system_key(self, key_id: str) -> None:
        """Delete a system key (``DELETE /v1/system-keys/{id}``): it is refused from then on.

        :raises FivetranNotFound: there is none.
        """
        self.get_system_key(key_id)
        self._delete(account_endpoints.delete_system_key(key_id))

    def own_account(self, *, attempts: int | None = None) -> Account:
        """Read the account with the Airflow connection's own key as it is now, and never with its fallback's.

        (``GET /v1/account/info``)

        :param attempts: how often to ask at most; unset: ``fivetran_retry_limit``.
        :raises FivetranUnauthorized: this key is refused.
        """
        from airflow_provider_fivetran.transport.blocking import BlockingTransport  # noqa: PLC0415

        with BlockingTransport(
            self._own_key, attempts=attempts or self.fivetran_retry_limit, pause=self.fivetran_retry_delay
        ) as transport:
            return transport.send(endpoints.get_account()).value


def _written(permissions: Any) -> list[dict[str, Any]]:
    if not isinstance(permissions, list | tuple) or not permissions:
        raise ValueError(
            f"permissions is {permissions!r}; allowed is a list of permissions, such as "
            "[{'resource_type': 'CONNECTOR', 'access_level': 'MANAGE'}]"
        )
    return [Permission.of(permission).to_json() for permission in permissions]


def _masked(key: SystemKey) -> SystemKey:
    if key.secret is not None:
        mask_secret(str(key.secret.reveal()))
    return key
