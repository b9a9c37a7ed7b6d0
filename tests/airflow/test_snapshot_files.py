"""The files of a snapshot: what counts, what is removed, and what a process leaves that was killed while it wrote."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath
from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_fivetran.core.errors import FivetranSnapshotTooLarge
from airflow_provider_fivetran.core.snapshot_plan import Progress
from airflow_provider_fivetran.core.snapshot_tables import COLUMNS
from airflow_provider_fivetran.snapshot_files import RESUME_WITHIN, Files, Memory
from airflow_provider_fivetran.snapshot_formats import writer_of

try:  # Airflow 3
    from airflow.sdk.io import attach
except ImportError:
    from airflow.io.store import attach

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def group(name):
    return {"id": name, "name": f"of {name}", "created_at": NOW}


class Target:
    """A folder for a snapshot."""

    def __init__(self, path):
        self.path = path

    @contextmanager
    def files(self, *, key="k", now=NOW, suffix="jsonl"):
        with Files(
            self.path, suffix=suffix, open_part=writer_of(suffix), identity={"key": key}, now=now
        ) as files:
            yield files

    @property
    def names(self):
        root = self.path.path.rstrip("/")
        found = self.path.fs.find(root)
        return sorted(str(name).removeprefix(root).lstrip("/") for name in found)

    def open(self, name, mode):
        return self.path.fs.open(f"{self.path.path.rstrip('/')}/{name}", mode)

    def text(self, name):
        with self.open(name, "rb") as file:
            return file.read().decode()

    def write(self, name, text):
        with self.open(name, "wb") as file:
            file.write(text.encode())


@pytest.fixture(params=["file", "memory"])
def target(request, tmp_path):
    """A folder of this machine, and one of an object store, which has no folders."""
    if request.param == "file":
        yield Target(ObjectStoragePath(f"file://{tmp_path}/deep/er"))
        return
    store = MemoryFileSystem()
    attach(protocol="memory", fs=store)
    yield Target(ObjectStoragePath("memory://bucket/deep/er"))
    store.rm("/", recursive=True)


def complete(target, names=("a", "b"), **options):
    with target.files(**options) as files:
        for name in names:
            files.add("groups", [group(name)])
            files.commit({})
        files.finish({"rows": files.rows})


def test_a_complete_snapshot_is_its_parts_and_a_summary_that_names_them(target):
    complete(target)
    assert target.names == ["_snapshot.json", "groups/part-00000.jsonl", "groups/part-00001.jsonl"]
    summary = json.loads(target.text("_snapshot.json"))
    assert summary["files"] == {"groups": ["groups/part-00000.jsonl", "groups/part-00001.jsonl"]}
    assert summary["rows"] == {"groups": 2}
    assert json.loads(target.text("groups/part-00001.jsonl")) == {
        "id": "b",
        "name": "of b",
        "created_at": "2026-11-22T10:00:00+00:00",
    }


def test_one_that_is_under_way_has_no_summary(target):
    with target.files() as files:
        files.add("groups", [group("a")])
        files.commit({"requests": 1})
    assert target.names == ["_progress/note-00001.json", "groups/part-00000.jsonl"]


def test_it_is_gone_on_with_from_the_last_commit(target):
    with target.files() as files:
        files.add("groups", [group("a")])
        files.put_aside(0, [{"x": 1}])
        files.commit({"requests": 7})
        files.add("groups", [group("lost")])
    with target.files(now=NOW + timedelta(hours=1)) as files:
        assert files.begun_at == NOW
        assert files.progress == Progress(requests=7)
        assert (files.parts, files.rows) == ({"groups": 1}, {"groups": 1})
        assert files.take_up(0) == [{"x": 1}]
        files.add("groups", [group("b")])
        files.commit({"requests": 8})
        files.finish({})
    assert [json.loads(target.text(f"groups/part-0000{n}.jsonl"))["id"] for n in (0, 1)] == ["a", "b"]
    assert "_snapshot.json" in target.names
    assert not [name for name in target.names if name.startswith("_progress")]


def test_a_part_that_was_broken_off_is_removed_though_nothing_takes_its_place(target):
    with target.files() as files:
        files.add("groups", [group("a")])
        files.commit({})
        files.add("groups", [group("lost")])
        files.add("not_seen", [{"table": "users", "id": None, "why": "lost"}])
    with target.files() as files:
        files.finish({})
    assert target.names == ["_snapshot.json", "groups/part-00000.jsonl"]


@pytest.mark.parametrize("torn", ["", '{"version": 1, "identity": {"key"', "[]", '{"version": 1}'])
def test_a_note_that_was_broken_off_is_passed_over(target, torn):
    with target.files() as files:
        files.commit({"requests": 1})
        files.commit({"requests": 2})
    target.write("_progress/note-00003.json", torn)
    with target.files() as files:
        assert files.progress == Progress(requests=2)
        files.commit({"requests": 3})
    with target.files() as files:
        assert files.progress == Progress(requests=3)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"key": "another"}, id="of another task or run"),
        pytest.param({"now": NOW + RESUME_WITHIN + timedelta(seconds=1)}, id="begun too long ago"),
    ],
)
def test_what_another_left_is_removed_and_not_gone_on_with(target, other):
    with target.files() as files:
        files.add("groups", [group("old")])
        files.put_aside(0, [])
        files.commit({"requests": 1})
    with target.files(**other) as files:
        assert files.progress == Progress()
        assert target.names == []
        files.finish({})
    assert target.names == ["_snapshot.json"]


def test_a_new_one_removes_first_what_says_that_the_old_one_is_complete(target):
    complete(target)
    with target.files():
        assert target.names == []
    complete(target, ["a"])
    assert target.names == ["_snapshot.json", "groups/part-00000.jsonl"]


def test_what_is_not_of_a_snapshot_is_left_alone(target):
    complete(target)
    target.write("notes.txt", "mine")
    target.write("groups/part-00000.csv", "mine")
    complete(target, ["a"])
    assert target.names == ["_snapshot.json", "groups/part-00000.csv", "groups/part-00000.jsonl", "notes.txt"]


def test_parquet_has_the_rows_with_types(target):
    parquet = pytest.importorskip("pyarrow.parquet")
    row = dict.fromkeys(column.name for column in COLUMNS["transformations"]) | {
        "id": "t",
        "is_paused": True,
        "created_at": NOW,
        "output_model_names": ["a", "b"],
    }
    with target.files(suffix="parquet") as files:
        for _ in range(3):
            files.add("transformations", [row] * 5_000)
        files.commit({})
        files.finish({})
    with target.open("transformations/part-00000.parquet", "rb") as file:
        read = parquet.ParquetFile(file)
        assert (read.metadata.num_rows, read.metadata.num_row_groups) == (15_000, 2)
        assert read.read().slice(14_999).to_pylist() == [row]
        assert str(read.schema_arrow.field("created_at").type) == "timestamp[us, tz=UTC]"
        assert read.schema_arrow.names == [column.name for column in COLUMNS["transformations"]]


def test_a_parquet_part_that_was_broken_off_is_removed(target):
    pytest.importorskip("pyarrow")
    with target.files(suffix="parquet") as files:
        files.commit({})
        files.add("groups", [group("lost")])
    with target.files(suffix="parquet"):
        assert target.names == ["_progress/note-00001.json"]


def test_in_memory_it_is_plain_json_of_a_bounded_size():
    memory = Memory(300)
    memory.add("groups", [group("a")])
    assert memory.tables == {
        "groups": [{"id": "a", "name": "of a", "created_at": "2026-11-22T10:00:00+00:00"}]
    }
    with pytest.raises(FivetranSnapshotTooLarge) as told:
        memory.add("groups", [group("b")] * 4)
    assert "not be larger than 300 bytes, and it is after 5 groups: give it a target" in str(told.value)
