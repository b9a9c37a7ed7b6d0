"""Checking, while the DAG is parsed, how a connection is described."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from airflow_provider_fivetran.arguments import check_choice, check_flag, check_text
from airflow_provider_fivetran.core.policies import (
    DelaySensitivity,
    NetworkingMethod,
    SchemaNames,
    SetupSetting,
)
from airflow_provider_fivetran.core.sync_schedule import SyncSchedule

__all__ = [
    "SECRET_ATTRIBUTES",
    "check_card",
    "check_fields",
    "check_group",
    "check_schedule",
    "check_secrets",
    "check_settings",
]

# Attributes of an Airflow connection that a secret may be; besides them ``extra.`` and a key.
SECRET_ATTRIBUTES = ("password", "login", "host", "schema", "port")
SECTIONS = ("config", "auth")
_PAIR = 2
_CHOICES = {
    "networking_method": NetworkingMethod,
    "destination_schema_names": SchemaNames,
    "data_delay_sensitivity": DelaySensitivity,
}
_FLAGS = Literal["hide_setup_guide", "all_fields"]


def check_fields(name: str, value: object) -> None:
    """Check ``config`` or ``auth``. What another task returns is none yet, and is left alone.

    :raises ValueError: it is not a dictionary with texts as its keys.
    """
    if hasattr(value, "resolve"):
        return
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name} is a {type(value).__name__}; allowed is a dictionary of fields")


def check_group(group_id: object, destination_name: object) -> None:
    """Check that a group is given by its id, or by its name.

    :raises ValueError: it is not.
    """
    if (group_id is None) == (destination_name is None):
        raise ValueError(
            f"give either group_id or destination_name; group_id is {group_id!r}, "
            f"destination_name is {destination_name!r}"
        )
    for name, value in (("group_id", group_id), ("destination_name", destination_name)):
        if value is not None:
            check_text(name, value)


def check_secrets(value: object) -> None:
    """Check where the secrets come from.

    :raises ValueError: a field, or an attribute of an Airflow connection, that cannot be.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"secrets is a {type(value).__name__}; allowed is a dictionary")  # noqa: TRY004
    for path, source in value.items():
        parts = str(path).split(".")
        if len(parts) == 1 or parts[0] not in SECTIONS or not all(parts):
            raise ValueError(
                f"a field in secrets is {path!r}; allowed is a path such as 'config.password' or "
                "'auth.client_access.client_secret'"
            )
        if not isinstance(source, list | tuple) or len(source) != _PAIR or not all(map(_is_text, source)):
            raise ValueError(  # the value is not shown: somebody may have put the secret itself there
                f"secrets[{path!r}] is not the id of an Airflow connection and one of its attributes, as in "
                "('shop_db', 'password')"
            )
        attribute = source[1]
        is_extra = attribute.startswith("extra.") and len(attribute) > len("extra.")
        if "{" not in attribute and attribute not in SECRET_ATTRIBUTES and not is_extra:
            raise ValueError(
                f"secrets[{path!r}] names an attribute that an Airflow connection has not; allowed are "
                f"{', '.join(SECRET_ATTRIBUTES)} and extra.KEY"
            )


def check_settings(value: object) -> None:
    """Check what is described besides the fields of a type.

    :raises ValueError: a name or a value that is not allowed.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"settings is a {type(value).__name__}; allowed is a dictionary")  # noqa: TRY004
    for name, setting in value.items():
        check_choice("a name in settings", name, SetupSetting)
        where = f"settings[{name!r}]"
        if isinstance(setting, str) and "{" in setting:
            continue
        if name in _CHOICES:
            check_choice(where, setting, _CHOICES[name])
        elif name == "pause_after_trial":
            check_flag(where, setting)
        elif name == "data_delay_threshold":
            if isinstance(setting, bool) or not isinstance(setting, int) or setting < 0:
                raise ValueError(f"{where} is {setting!r}; allowed is a number of minutes")
        elif name == "destination_configuration":
            check_fields(where, setting)
        else:
            check_text(where, setting)


def check_schedule(value: object) -> SyncSchedule | None:
    """Read ``schedule``.

    :raises ValueError: it is none of the four kinds.
    """
    return None if value is None else SyncSchedule.of(value)


def check_card(value: object) -> None:
    """Check the configuration of a Connect Card.

    :raises ValueError: it lacks the address to which people are sent afterwards, or has something unknown.
    """
    if value is None:
        return
    card: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
    address = card.get("redirect_uri")
    text = address if isinstance(address, str) else ""
    if "{" not in text and urlsplit(text).scheme not in {"http", "https"}:
        raise ValueError(
            f"the redirect_uri of connect_card is {address!r}; allowed is an http or https address, to which people "
            "are sent when they have authorised the connection"
        )
    for name, flag in card.items():
        if name == "redirect_uri":
            continue
        check_choice("a name in connect_card", name, _FLAGS)
        check_flag(f"connect_card[{name!r}]", flag)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
