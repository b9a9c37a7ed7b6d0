"""The pooled HTTP sessions of a line."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from airflow_provider_fivetran.core.protocol import Settings

__all__ = ["Sessions"]


class Sessions:
    """The sessions of a line: one that heeds the environment and one that does not, each opened on first use."""

    def __init__(self) -> None:
        self._open: dict[str | None, aiohttp.ClientSession] = {}

    async def suited_to(self, settings: Settings) -> aiohttp.ClientSession:
        """The session for these settings.

        :raises OSError: the certificates that the environment names cannot be read.
        """
        bundle = _ca_bundle() if settings.heeds_environment else None
        which = (bundle or "") if settings.heeds_environment else None
        if which not in self._open:
            # Reading certificates takes some hundredths of a second.
            tls = await asyncio.to_thread(_trusting, bundle) if bundle else True
            if which not in self._open:  # another call may have been faster
                # ``trust_env`` is what makes proxies from the environment work.
                self._open[which] = aiohttp.ClientSession(
                    trust_env=settings.heeds_environment, connector=aiohttp.TCPConnector(ssl=tls)
                )
        return self._open[which]

    async def close(self) -> None:
        for session in self._open.values():
            await session.close()
        self._open.clear()


def _ca_bundle() -> str | None:
    """Where ``requests`` looks for certificates, and so does the worker's transport."""
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


def _trusting(bundle: str) -> ssl.SSLContext:
    is_directory = Path(bundle).is_dir()
    return ssl.create_default_context(
        cafile=None if is_directory else bundle, capath=bundle if is_directory else None
    )
