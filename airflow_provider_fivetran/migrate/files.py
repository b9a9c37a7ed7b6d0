"""Finding, reading and replacing files."""

from __future__ import annotations

import io
import os
import stat
import tempfile
import tokenize
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_fivetran.migrate.requirements import is_about_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["PythonText", "find", "read_python", "replace"]

SKIPPED = {"__pycache__", "node_modules", "site-packages"}


def find(paths: Sequence[str], tell: Callable[[OSError], object]) -> list[Path]:
    """The files that are meant: those that are named, and those of folders that may have to do with a provider.

    :param tell: gets the error of each folder that cannot be read.
    :raises FileNotFoundError: one is not there, or is something else.
    """
    found: dict[Path, Path] = {}
    for path in map(Path, paths):
        if not (path.is_dir() or path.is_file()):
            raise FileNotFoundError(f"there is no file or folder {path}")
        for file in _files_in(path, tell) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _files_in(folder: Path, tell: Callable[[OSError], object]) -> Iterator[Path]:
    """What is in a folder and in those below it, also behind links, as Airflow looks for DAGs."""
    seen: set[Path] = set()
    for where, folders, names in os.walk(folder, onerror=tell, followlinks=True):
        real = Path(where).resolve()
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED
            and not name.startswith(".")
            and not Path(where, name, "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            file = Path(where, name)
            if (name.endswith(".py") or is_about_requirements(name)) and file.is_file():
                yield file


@dataclass(frozen=True, slots=True)
class PythonText:
    """What a file of Python says, and how it was written down."""

    text: str
    encoding: str

    def to_bytes(self, text: str) -> bytes:
        """Write another text down in the same way."""
        return text.encode(self.encoding)


def read_python(data: bytes) -> PythonText:
    """Read the bytes of a file as Python does, but leave line endings as they are.

    :raises ValueError: they are not in the encoding that they declare.
    """
    try:
        encoding, _lines = tokenize.detect_encoding(io.BytesIO(data).readline)
        read = PythonText(data.decode(encoding), encoding)
    except SyntaxError as error:
        raise ValueError(f"cannot be read: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot be read: {error}") from error
    if read.to_bytes(read.text) != data:
        raise ValueError(f"cannot be read: its {encoding} is not unambiguous")
    return read


def replace(path: Path, data: bytes) -> None:
    """Give a file other contents, all at once, and leave its mode and, where that is allowed, its owner.

    :raises OSError: that cannot be; the file is as it was.
    """
    file = path.resolve()  # what a link leads to is changed, not the link
    if not os.access(file, os.W_OK):
        raise PermissionError(f"{path} is write-protected")
    before = file.stat()
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(data)
            written.flush()
            os.fsync(written.fileno())
        if hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(name, before.st_uid, before.st_gid)
        Path(name).chmod(stat.S_IMODE(before.st_mode))
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
