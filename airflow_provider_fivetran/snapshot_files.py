"""Where a snapshot goes: files below an ``ObjectStoragePath``, or memory.

Below the target each table has a folder of parts, ``connections/part-00000.jsonl``. A part is written once and never
changed. It counts once a note in ``_progress/`` names it, which is written after it is closed; and the snapshot is
whole once ``_snapshot.json`` is there, which is written last. So what was broken off is never taken for whole.
"""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_fivetran.core.errors import FivetranSnapshotTooLarge
from airflow_provider_fivetran.core.moments import read_moment, write_moment
from airflow_provider_fivetran.core.snapshot_plan import Progress
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_fivetran.core.snapshot_tables import Row
    from airflow_provider_fivetran.snapshot_formats import Part

__all__ = ["RESUME_WITHIN", "SUMMARY", "Files", "Memory", "UnusableTarget"]

# What was begun longer ago than this is begun anew: a snapshot is a picture of one day.
RESUME_WITHIN = timedelta(hours=24)
SUMMARY = "_snapshot.json"
NOTES = "_progress"
PROBE = f"{NOTES}/probe"
# Raised when a note of another version cannot be gone on with.
VERSION = 1
# What has to be installed for a scheme (source: "Object Storage" of Airflow's documentation, and its providers).
_AMAZON, _AZURE = "apache-airflow-providers-amazon[s3fs]", "apache-airflow-providers-microsoft-azure"
_GOOGLE = "apache-airflow-providers-google"
_BRINGS = {
    **dict.fromkeys(("s3", "s3a", "s3n"), _AMAZON),
    **dict.fromkeys(("gs", "gcs"), _GOOGLE),
    **dict.fromkeys(("abfs", "abfss", "adl"), _AZURE),
}
_NOTE = re.compile(r"note-(\d{5,})\.json")
_PART = re.compile(r"part-(\d{5,})\.(jsonl|parquet)")


class UnusableTarget(ValueError):
    """Nothing can be written to the target: its filesystem cannot be had, or one may not."""


def target_at(target: str, conn_id: str | None) -> ObjectStoragePath:
    """The folder of a target.

    :param conn_id: id of the Airflow connection for it.
    :raises UnusableTarget: its filesystem cannot be had, as a rule because a package is missing.
    """
    from airflow.providers.common.compat.sdk import ObjectStoragePath  # noqa: PLC0415

    scheme = target.partition("://")[0]
    try:
        path = ObjectStoragePath(target, conn_id=conn_id)
        path.fs  # noqa: B018 - what it needs is imported when it is asked for
    except (ImportError, ValueError) as error:
        package = _BRINGS.get(scheme, "a provider of Airflow that knows it")
        raise UnusableTarget(
            f"target {target!r} cannot be opened: {error}; the scheme {scheme!r} needs {package} on the workers"
        ) from error
    return path


class Files:
    """Keeps a snapshot in files below a target. Nobody else may write there.

    :param target: the folder.
    :param suffix: ``jsonl`` or ``parquet``.
    :param open_part: makes the writer of a part from its table and its open file.
    :param identity: what an interrupted snapshot must have been begun with to be gone on with, as plain JSON.
    :param now: by our clock.
    :raises UnusableTarget: nothing can be written there.
    """

    def __init__(
        self,
        target: ObjectStoragePath,
        *,
        suffix: str,
        open_part: Callable[[str, Any], Part],
        identity: Mapping[str, Any],
        now: datetime,
    ) -> None:
        self._fs = target.fs
        self._root = str(target.path).rstrip("/")
        self._is_local = "file" in _protocols(self._fs)
        self._suffix = suffix
        self._open_part = open_part
        self._identity = dict(identity)
        self._open: dict[str, Part] = {}
        self._number = 0
        self.parts: dict[str, int] = {}
        self.rows: dict[str, int] = {}
        self.begun_at = now
        self.progress = Progress()
        try:
            self._go_on_or_begin(now)
        except (PermissionError, FileExistsError, NotADirectoryError) as error:
            raise UnusableTarget(f"target {str(target)!r} cannot be written: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for part in self._open.values():
            with contextlib.suppress(OSError):
                part.abandon()
        self._open.clear()

    # -- as core.snapshot.Keeper --

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows to the part under way; it is opened with the first of them."""
        if table not in self._open:
            name = f"{table}/part-{self.parts.get(table, 0):05}.{self._suffix}"
            self._open[table] = self._open_part(table, self._create(name))
        self._open[table].write(rows)
        self.rows[table] = self.rows.get(table, 0) + len(rows)

    def put_aside(self, number: int, rows: Sequence[Row]) -> None:
        """Keep rows in a file that is removed in the end."""
        self._write(f"{NOTES}/page-{number:05}.json", json.dumps(rows))

    def take_up(self, number: int) -> Sequence[Row]:
        """Give back what was put aside."""
        rows: list[Row] = json.loads(self._fs.cat_file(self._path(f"{NOTES}/page-{number:05}.json")))
        return rows

    def commit(self, progress: Mapping[str, Any]) -> None:
        """Close the parts under way, and then write the note that makes them count."""
        for table, part in self._open.items():
            part.close()
            self.parts[table] = self.parts.get(table, 0) + 1
        self._open.clear()
        self._number += 1
        note = {
            "version": VERSION,
            "identity": self._identity,
            "begun_at": write_moment(self.begun_at),
            "parts": self.parts,
            "rows": self.rows,
            "progress": dict(progress),
        }
        self._write(f"{NOTES}/{_note_name(self._number)}", json.dumps(note))
        # The one before is kept until this one is there: a note that was broken off is passed over.
        self._remove(f"{NOTES}/{_note_name(self._number - 1)}")

    # -- begin and end --

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Say that the snapshot is whole, and in which files."""
        files = {
            table: [f"{table}/part-{number:05}.{self._suffix}" for number in range(count)]
            for table, count in self.parts.items()
        }
        self._write(SUMMARY, json.dumps({**summary, "files": files}, indent=1))
        for name in self._names_in(NOTES):
            self._remove(f"{NOTES}/{name}")
        if self._is_local:
            self._fs.rmdir(self._path(NOTES))

    def _go_on_or_begin(self, now: datetime) -> None:
        self._fs.invalidate_cache()
        notes = sorted(int(match[1]) for name in self._names_in(NOTES) if (match := _NOTE.fullmatch(name)))
        for number in reversed(notes):
            if self._can_go_on_from(number, now):
                self._number = number
                self._remove_parts()  # of those that do not count not all need be written again
                return
        self._begin()

    def _can_go_on_from(self, number: int, now: datetime) -> bool:
        try:
            note = json.loads(self._fs.cat_file(self._path(f"{NOTES}/{_note_name(number)}")))
            if note["version"] != VERSION or note["identity"] != self._identity:
                return False
            begun_at = read_moment(note["begun_at"])
            progress = Progress(**note["progress"])
        except (ValueError, TypeError, KeyError):  # it was broken off
            return False
        if now - begun_at > RESUME_WITHIN:
            return False
        self.begun_at, self.progress = begun_at, progress
        self.parts, self.rows = dict(note["parts"]), dict(note["rows"])
        return True

    def _begin(self) -> None:
        """Remove what an earlier snapshot left, first what says that it is whole; see that one can write."""
        self._remove(SUMMARY)
        for name in self._names_in(NOTES):
            self._remove(f"{NOTES}/{name}")
        self._remove_parts()
        self._write(PROBE, "")
        self._remove(PROBE)

    def _remove_parts(self) -> None:
        """Remove the parts that do not count."""
        for table in COLUMNS:
            for name in self._names_in(table):
                match = _PART.fullmatch(name)
                if match and int(match[1]) >= self.parts.get(table, 0):
                    self._remove(f"{table}/{name}")

    # -- files --

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _names_in(self, folder: str) -> list[str]:
        try:
            paths = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return []
        return [posixpath.basename(str(path).rstrip("/")) for path in paths]

    def _create(self, name: str) -> Any:
        path = self._path(name)
        try:
            return self._fs.open(path, "wb")
        except (
            FileNotFoundError
        ):  # where folders are real; an object store has none, and may forbid to make any
            self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
            return self._fs.open(path, "wb")

    def _write(self, name: str, text: str) -> None:
        """Write a file as a whole. In an object store it appears only then; here it is renamed when it is there."""
        under_way = f"{name}.tmp" if self._is_local else name
        with self._create(under_way) as file:
            file.write(text.encode())
        if self._is_local:
            self._fs.mv(self._path(under_way), self._path(name))

    def _remove(self, name: str) -> None:
        try:
            self._fs.rm_file(self._path(name))
        except FileNotFoundError:
            return


class Memory:
    """Keeps a snapshot in memory, as plain JSON of a bounded size.

    :param most_bytes: as JSON text.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._aside: dict[int, Sequence[Row]] = {}
        self.tables: dict[str, list[Row]] = {}

    def add(self, table: str, rows: Sequence[Row]) -> None:
        """Add rows.

        :raises FivetranSnapshotTooLarge: there are too many.
        """
        kept = [plain(row) for row in rows]
        self.tables.setdefault(table, []).extend(kept)
        self._bytes += len(json.dumps(kept))
        if self._bytes > self._most_bytes:
            counts = ", ".join(f"{len(found):,} {name}" for name, found in self.tables.items())
            raise FivetranSnapshotTooLarge(
                f"without a target the snapshot must not be larger than {self._most_bytes:,} bytes, and it is after "
                f"{counts}: give it a target such as 's3://bucket/folder', or fewer tables, such as "
                "tables=['latest_status']"
            )

    def put_aside(self, number: int, rows: Sequence[Row]) -> None:
        """Keep rows for later."""
        self._aside[number] = rows

    def take_up(self, number: int) -> Sequence[Row]:
        """Give back what was put aside."""
        return self._aside[number]

    def commit(self, progress: Mapping[str, Any]) -> None:
        """Nothing is left of an interrupted one."""


def _note_name(number: int) -> str:
    return f"note-{number:05}.json"


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
