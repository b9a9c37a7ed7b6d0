"""`airflow fivetran migrate` and `python -m airflow_provider_fivetran.migrate`: files, exit codes, what is printed."""

from __future__ import annotations

import importlib.metadata
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from airflow_provider_fivetran import __version__
from airflow_provider_fivetran.migrate import command
from airflow_provider_fivetran.migrate.command import main
from airflow_provider_fivetran.migrate.files import find, read_python, replace
from airflow_provider_fivetran.migrate.requirements import is_about_requirements, remarks_on

BEFORE = "from fivetran_provider_async.sensors import FivetranSensor\n"
AFTER = "from airflow_provider_fivetran.sensors import FivetranSensor\n"
ONCE = "told once: 1; no run can tell these once the files are rewritten\n"
ASKING = BEFORE + "FivetranSensor(task_id='a')\n"
BROKEN = BEFORE + "x = (\n"
has_commands = pytest.mark.skipif(
    importlib.metadata.version("apache-airflow").startswith(("2.", "3.0.", "3.1.")),
    reason="Airflow has commands of providers since 3.2",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


# --- what it says and does --------------------------------------------------------------------------------


def test_nothing_is_written_unless_it_is_asked_for(folder, capsys):
    write(folder, dag=BEFORE, other="import os\n")
    assert main(["."]) == 0
    assert capsys.readouterr().out == (
        f"--- dag.py\n+++ dag.py\n@@ -1 +1 @@\n-{BEFORE}+{AFTER}1 file to rewrite (with --write)\n"
    )
    assert (folder / "dag.py").read_text(encoding="utf-8") == BEFORE


def test_what_is_said_of_many_places_is_said_once(folder, capsys):
    write(folder, a=ASKING, b=ASKING + "FivetranSensor(task_id='b')\n", c=BROKEN)
    assert main(["."]) == 1
    out = capsys.readouterr().out
    assert out.count("FivetranSensor: this provider has other defaults, on purpose") == 1
    assert ":\n  a.py:2\n  b.py:2\n  b.py:3\nc.py:" in out
    assert "; 4 places left to a person\ntold once: 3; no run" in out


def test_it_ends_quietly_when_its_reader_is_gone(folder):
    write(folder, dag=BEFORE)
    started = [sys.executable, "-m", "airflow_provider_fivetran.migrate", "."]
    with subprocess.Popen(started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


def test_it_writes_and_a_second_time_there_is_nothing_to_do(folder, capsys):
    write(folder, dag=BEFORE)
    assert main(["dag.py", "--write"]) == 0
    assert capsys.readouterr().out.endswith(f"+{AFTER}1 file rewritten\n")
    assert (folder / "dag.py").read_text(encoding="utf-8") == AFTER
    assert main(["dag.py", "--write"]) == 0
    assert capsys.readouterr().out == "nothing to rewrite\n"


LEFT = (
    "from fivetran_provider_async.hooks import FivetranHook\n"
    "def f():\n    hook = FivetranHook()\n    return hook.get_connector('x')['status']\n"
)


def test_what_is_still_in_a_file_is_told_by_every_later_run(folder, capsys):
    write(folder, dag=LEFT)
    assert main(["dag.py", "--write"]) == 1
    told = "dag.py:4: hook.get_connector does not exist in this provider: use get_fivetran_connection"
    assert told in capsys.readouterr().out
    for path in ("dag.py", "."):
        assert main([path]) == 1
        out = capsys.readouterr().out
        assert told in out
        assert out.endswith("\nnothing to rewrite; 1 place left to a person\n")
        assert main([path, "--output", "json"]) == 1
        assert [remark["path"] for remark in json.loads(capsys.readouterr().out)["remarks"]] == ["dag.py"]


def test_what_no_later_run_can_tell_is_marked(folder, capsys):
    write(folder, dag=ASKING)
    assert main(["dag.py", "--output", "json"]) == 1
    assert [remark["told_once"] for remark in json.loads(capsys.readouterr().out)["remarks"]] == [True]
    assert main(["dag.py", "--write"]) == 1
    out = capsys.readouterr().out
    assert " [told once]\n" in out
    assert out.endswith("\ntold once: 1; no run can tell these once the files are rewritten\n")
    assert main(["dag.py"]) == 0
    assert capsys.readouterr().out == "nothing to rewrite\n"


def test_what_needs_a_person_is_told_with_its_place_and_is_exit_code_1(folder, capsys):
    write(folder, dag=ASKING)
    assert main(["."]) == 1
    out = capsys.readouterr().out
    assert "\ndag.py:2: FivetranSensor: this provider has other defaults, on purpose" in out
    assert out.endswith("1 file to rewrite (with --write); 1 place left to a person\n" + ONCE)


def test_for_programs_it_is_json(folder, capsys):
    old = "from fivetran_provider.sensors.fivetran import FivetranSensor as S\nS(\n  task_id='a',\n)\nx = 'fivetran_provider.x'\n"
    write(folder, dag=old)
    assert main(["dag.py", "--write", "--output", "json"]) == 1
    told = json.loads(capsys.readouterr().out)
    [change], [remark] = told["files"], told["remarks"]
    assert (change["path"], change["written"]) == ("dag.py", True)
    assert change["diff"].startswith("--- dag.py\n+++ dag.py\n")
    # The line that it has now.
    assert (remark["path"], remark["line"]) == ("dag.py", 6)


def test_what_cannot_be_parsed_or_read_is_told_and_the_rest_is_done(folder, capsys):
    write(folder, a=BROKEN, b=BEFORE)
    (folder / "c.py").write_bytes(b"# coding: ascii\n# \xe9\n" + BEFORE.encode())
    (folder / "d.py").write_bytes(b"# coding: klingon\n" + BEFORE.encode())
    assert main([".", "--write"]) == 1
    out = capsys.readouterr().out
    assert "a.py:3: cannot be parsed" in out or "a.py:2: cannot be parsed" in out
    assert "c.py:1: cannot be read: 'ascii' codec" in out or "c.py:1: cannot be read: invalid" in out
    assert "d.py:1: cannot be read: unknown encoding" in out
    assert (folder / "a.py").read_text(encoding="utf-8") == BROKEN
    assert (folder / "b.py").read_text(encoding="utf-8") == AFTER


@pytest.mark.parametrize(
    "arguments", [[], ["nowhere"], ["--output", "xml", "."], [".", "--force"], ["dag.py", "nowhere"]]
)
def test_bad_usage_is_exit_code_2_and_changes_nothing(folder, capsys, arguments):
    write(folder, dag=BEFORE)
    try:
        code = main([*arguments, "--write"])
    except SystemExit as ended:
        code = ended.code
    assert code == 2
    assert (folder / "dag.py").read_text(encoding="utf-8") == BEFORE
    assert capsys.readouterr().err


def test_requirements_are_told_of_and_left(folder, capsys):
    text = "apache-airflow\nairflow-provider-fivetran-async[openlineage]==2.4.0\n"
    (folder / "requirements.txt").write_text(text, encoding="utf-8")
    assert main([".", "--write"]) == 1
    assert (
        "requirements.txt:2: airflow-provider-fivetran-async[openlineage] is another provider: "
        in capsys.readouterr().out
    )
    assert (folder / "requirements.txt").read_text(encoding="utf-8") == text


def run_python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, cwd=folder, capture_output=True, text=True
    )


def test_it_runs_without_airflow_and_runs_no_dag_file(folder):
    write(folder, dag=BEFORE + "raise SystemExit(7)\n")
    script = (
        "import sys; sys.modules['airflow'] = None\n"
        "from airflow_provider_fivetran.migrate.command import main\n"
        "code = main(['.', '--write'])\n"
        "heavy = {'requests', 'aiohttp', 'fivetran_provider_async'} & set(sys.modules)\n"
        "sys.exit(f'{heavy}' if heavy else code)"
    )
    done = run_python(folder, "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "dag.py").read_text(encoding="utf-8").startswith(AFTER)


def test_it_is_a_module_to_run(folder):
    write(folder, dag=ASKING)
    done = run_python(folder, "-m", "airflow_provider_fivetran.migrate", "dag.py")
    assert (done.returncode, done.stderr) == (1, "")
    assert f"+{AFTER}" in done.stdout


def test_without_libcst_it_says_what_to_install(folder):
    write(folder, dag=BEFORE)
    script = (
        "import sys; from importlib.machinery import PathFinder\n"
        "class Without(PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, *more):\n"
        "        return None if name == 'libcst' else super().find_spec(name, *more)\n"
        "sys.meta_path = [Without if finder is PathFinder else finder for finder in sys.meta_path]\n"
        "from airflow_provider_fivetran.migrate.command import main\n"
        "sys.exit(main(['dag.py']))"
    )
    done = run_python(folder, "-c", script)
    assert done.returncode == 2
    assert done.stderr == "This needs libcst: pip install 'airflow-provider-fivetran[migrate]'\n"


@has_commands
@pytest.mark.parametrize(("text", "code"), [(BEFORE, 0), (ASKING, 1)])
def test_it_is_a_command_of_airflow(folder, capsys, text, code):
    import argparse

    from airflow.cli.cli_parser import _add_command

    from airflow_provider_fivetran.command_line import get_commands

    write(folder, dag=text)
    parser = argparse.ArgumentParser()
    for of_ours in get_commands():
        _add_command(parser.add_subparsers(), of_ours)
    given = parser.parse_args(["fivetran", "migrate", "dag.py", "--write"])
    try:
        given.func(given)
        ended = 0
    except SystemExit as exit_:
        ended = exit_.code
    assert ended == code
    assert (folder / "dag.py").read_text(encoding="utf-8").startswith(AFTER)


# --- files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BEFORE.replace("\n", "\r\n").encode(), AFTER.replace("\n", "\r\n").encode()),
        (b"\xef\xbb\xbf" + BEFORE.encode(), b"\xef\xbb\xbf" + AFTER.encode()),
        (b"# coding: latin-1\n# \xe9\n" + BEFORE.encode(), b"# coding: latin-1\n# \xe9\n" + AFTER.encode()),
        (b"# -*- coding: cp1252 -*-\n# \x80 " + BEFORE.encode() * 2, b"# -*- coding: cp1252 -*-\n# \x80 " + BEFORE.encode() + AFTER.encode()),
        (("# é\n" + BEFORE).strip().encode(), ("# é\n" + AFTER).strip().encode()),
        (b"x = 1 \r\n\x0c\r\n" + BEFORE.encode(), b"x = 1 \r\n\x0c\r\n" + AFTER.encode()),
    ],
    ids=["crlf", "bom", "latin-1", "cp1252", "no end", "mixed"],
)  # fmt: skip
def test_encoding_and_line_endings_stay(folder, before, after):
    (folder / "dag.py").write_bytes(before)
    assert main(["dag.py", "--write"]) == 0
    assert (folder / "dag.py").read_bytes() == after


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o660])
def test_the_mode_stays_and_nothing_else_is_left_in_the_folder(folder, mode):
    write(folder, dag=BEFORE)
    (folder / "dag.py").chmod(mode)
    assert main(["dag.py", "--write"]) == 0
    assert stat.S_IMODE((folder / "dag.py").stat().st_mode) == mode
    assert [path.name for path in folder.iterdir()] == ["dag.py"]


def test_what_a_link_leads_to_is_rewritten_once_and_the_link_stays(folder, capsys):
    write(folder, dag=BEFORE)
    (folder / "link.py").symlink_to("dag.py")
    assert main(["link.py", ".", "--write"]) == 0
    assert (folder / "link.py").is_symlink()
    assert (folder / "dag.py").read_text(encoding="utf-8") == AFTER
    assert capsys.readouterr().out.endswith("\n1 file rewritten\n")


def test_a_file_that_cannot_be_replaced_is_as_it_was(folder):
    write(folder, dag=BEFORE)
    (folder / "taken.py").mkdir()
    with pytest.raises(OSError, match="taken"):
        replace(folder / "taken.py", AFTER.encode())
    assert sorted(path.name for path in folder.iterdir()) == ["dag.py", "taken.py"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anything")
def test_a_write_protected_file_is_told_of(folder, capsys):
    write(folder, dag=BEFORE)
    (folder / "dag.py").chmod(0o444)
    assert main(["dag.py", "--write"]) == 1
    assert "dag.py:1: cannot be written: dag.py is write-protected" in capsys.readouterr().out
    assert (folder / "dag.py").read_text(encoding="utf-8") == BEFORE


def test_it_looks_through_folders_but_not_into_what_is_installed(folder):
    for name in ("b.py", "a.txt", "deep/c.py", ".git/d.py", "env/e.py", "env/pyvenv.cfg", "node_modules/f.py",
                 "lib/site-packages/g.py", "dev-requirements.txt", "pyproject.toml", "setup.toml"):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert [str(path) for path in find([".", "a.txt", "./b.py"], raising)] == [
        "b.py", "dev-requirements.txt", "pyproject.toml", "deep/c.py", "a.txt",
    ]  # fmt: skip


def raising(error: OSError) -> None:
    raise error


def test_folders_behind_links_are_looked_through_once(folder):
    (folder / "dags").mkdir()
    (folder / "common").mkdir()
    write(folder / "common", dag=BEFORE)
    for name, target in {"a": "../common", "b": "../common", "c": ".", "d": "nowhere"}.items():
        (folder / "dags" / name).symlink_to(target)
    assert [str(path) for path in find(["dags"], raising)] == ["dags/a/dag.py"]


def test_a_folder_that_cannot_be_read_is_told_of(folder, capsys, monkeypatch):
    write(folder, dag=AFTER)
    (folder / "closed").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert main(["."]) == 1
    assert "closed:1: cannot be looked through: Permission denied\n" in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_no_file(folder, capsys):
    os.mkfifo(folder / "dag.py")
    assert main(["dag.py"]) == 2
    assert capsys.readouterr().err == "there is no file or folder dag.py\n"


def test_what_was_written_is_told_when_it_is_interrupted(folder, capsys, monkeypatch):
    write(folder, a=ASKING, b=ASKING)

    def interrupted(path, data):
        if path.name == "b.py":
            raise KeyboardInterrupt
        replace(path, data)

    monkeypatch.setattr(command, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([".", "--write"])
    assert "\na.py:2: FivetranSensor: " in capsys.readouterr().out
    assert (folder / "a.py").read_text(encoding="utf-8") != ASKING
    assert (folder / "b.py").read_text(encoding="utf-8") == ASKING


def test_nothing_is_written_before_all_is_looked_at(folder, monkeypatch):
    write(folder, a=BEFORE, b=BEFORE + "# the last\n")

    def failing(data):
        if b"the last" in data:
            raise MemoryError
        return read_python(data)

    monkeypatch.setattr(command, "read_python", failing)
    with pytest.raises(MemoryError):
        main([".", "--write"])
    assert (folder / "a.py").read_text(encoding="utf-8") == BEFORE


def test_letters_that_the_terminal_does_not_have_are_spelled_out(folder):
    write(folder, dag="# \u2192\n" + BEFORE)
    (folder / os.fsdecode(b"\xe9.py")).write_text(BEFORE, encoding="utf-8")
    started = [sys.executable, "-m", "airflow_provider_fivetran.migrate", ".", "--write"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(started, check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert " # \\u2192\n" in done.stdout
    assert "+++ \\udce9.py\n" in done.stdout


def test_bytes_that_would_not_come_back_are_refused():
    with pytest.raises(ValueError, match="not unambiguous"):
        read_python(b"# coding: utf-7\n# +AGE-\n")


# --- requirements -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "is_told_of"),
    [
        ("airflow-provider-fivetran-async", True),
        ("airflow_provider_fivetran_async>=2.0,<3  # why", True),
        ('    "airflow-provider-fivetran-async[openlineage]~=2.4",', True),
        ("airflow-provider-fivetran==1.1.4", True),
        ("airflow-provider-fivetran[x] ~= 1.1", True),
        ('"airflow-provider-fivetran>=1.0,<2"', True),
        ("airflow-provider-fivetran<2.0", True),
        ('airflow-provider-fivetran = "^1.1"', True),
        ("airflow-provider-fivetran<=1", True),
        ("airflow-provider-fivetran", False),
        ("airflow-provider-fivetran>=2,<3", False),
        ("airflow-provider-fivetran>=1.0", False),
        ("airflow-provider-fivetran==2.0.1", False),
        ("airflow-provider-fivetran==10.0.1", False),
        ('airflow-provider-fivetran = "^2.1"', False),
        ("airflow-provider-fivetran<2.1", False),
        ("airflow-provider-fivetran  # once ==1.1", False),
        ("# airflow-provider-fivetran-async", False),
        ("my-airflow-provider-fivetran==1.0", False),
        ("airflow-provider-fivetrans==1.0", False),
        ('x = ["airflow-provider-fivetran", "other==1.0"]', False),
        ("x = ['airflow-provider-fivetran==1.0', 'other']", True),
    ],
)
def test_requirements(line, is_told_of):
    assert [number for number, _ in remarks_on(f"first\n{line}\n")] == ([2] if is_told_of else [])


@pytest.mark.parametrize("line", ["airflow-provider-fivetran-async", "airflow-provider-fivetran==1.1.4"])
def test_the_version_that_is_advised_allows_this_one(line):
    [(_number, text)] = remarks_on(line)
    advised = text.rpartition("require ")[2].removeprefix("airflow-provider-fivetran")
    assert Version(__version__) in SpecifierSet(advised)
    assert Version("1.1.4") not in SpecifierSet(advised)
    assert remarks_on(f"airflow-provider-fivetran{advised}") == []


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("requirements.txt", True), ("dev-requirements.in", True), ("pyproject.toml", True), ("Dockerfile", True),
     ("notes.txt", False), ("dag.py", False)],
)  # fmt: skip
def test_which_files_are_about_requirements(name, is_one):
    assert is_about_requirements(name) is is_one
