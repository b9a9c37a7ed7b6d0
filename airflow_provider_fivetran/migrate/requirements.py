"""Requirements that name a peer's distribution. They are only reported: what to pin is for a person to say."""

from __future__ import annotations

import re
from fnmatch import fnmatch

from airflow_provider_fivetran import __version__

__all__ = ["is_about_requirements", "remarks_on"]

OURS = f">={__version__}"
"""What to require: at least this version, which may be one before a release, as ``>=2`` would not allow."""
PATTERNS = (
    "*requirements*.txt",
    "*requirements*.in",
    "*constraints*.txt",
    "pyproject.toml",
    "setup.cfg",
    "Pipfile",
    "environment*.yml",
    "environment*.yaml",
    "Dockerfile*",
)
_NAME = re.compile(
    r"(?<![\w.-])airflow[-_.]provider[-_.]fivetran(?P<is_async>[-_.]async)?(?![\w.-])(?P<extras>\[[^]]*\])?",
    re.IGNORECASE,
)
# Under our own name, but a version of the older provider.
_BELOW_2 = re.compile(r"(?<![<>!])=\s*[\"']?[\^~=]*\s*[01](?!\d)|<=?\s*[01](?!\d)|<\s*2(?:\.0)*(?![\d.])")


def is_about_requirements(name: str) -> bool:
    """Whether a file of that name says what is to be installed."""
    return any(fnmatch(name, pattern) for pattern in PATTERNS)


def remarks_on(text: str) -> list[tuple[int, str]]:
    """The lines that name a peer's distribution, by number, and what to do about each."""
    remarks = []
    for number, line in enumerate(text.splitlines(), start=1):
        code = line.partition("#")[0]
        found = _NAME.search(code)
        if found is None:
            continue
        quote = code[: found.start()][-1:]
        versions = code[found.end() :].partition(quote)[0] if quote in {'"', "'"} else code[found.end() :]
        if found["is_async"]:
            extras = f", which has other extras than {found['extras']}" if found["extras"] else ""
            remarks.append(
                (number, f"{found[0]} is another provider: require airflow-provider-fivetran{OURS}{extras}")
            )
        elif _BELOW_2.search(versions):
            remarks.append(
                (number, f"this version of airflow-provider-fivetran is the older provider: require {OURS}")
            )
    return remarks
