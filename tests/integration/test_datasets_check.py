"""`datasets check` against a real PostgreSQL: a schema with one of each trouble, and one without any."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from hikyaku.app import app
from integration.loader_fixture import Desk
from integration.postgres_fixture import Database
from loader.check.__main__ import main
from loader.check.examine import NotCheckedError, Report, examine

pytest_plugins = ("integration.postgres_fixture", "integration.loader_fixture")

SCHEMA = """
CREATE TABLE fine (
    id int PRIMARY KEY, name text NOT NULL, note text, at timestamptz DEFAULT now(), total int GENERATED ALWAYS AS (id * 2) STORED,
    number int GENERATED ALWAYS AS IDENTITY, rescued jsonb, source text, line bigint
);
CREATE TABLE keyless (id int, name text);
CREATE TABLE later (id int PRIMARY KEY DEFERRABLE, name text);
CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);
CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE slice PARTITION OF whole FOR VALUES FROM (0) TO (10);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child () INHERITS (parent);
CREATE VIEW seen AS SELECT * FROM fine;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM fine;
CREATE SEQUENCE numbers;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE triggered (id int PRIMARY KEY);
CREATE TRIGGER dropper BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER teller AFTER INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER sleeper BEFORE INSERT ON triggered FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE triggered DISABLE TRIGGER sleeper;
CREATE TABLE ruled (id int PRIMARY KEY);
CREATE TABLE noted (id int);
CREATE RULE noting AS ON INSERT TO ruled DO ALSO INSERT INTO noted VALUES (NEW.id);
CREATE TABLE diverted (id int PRIMARY KEY);
CREATE RULE diverting AS ON INSERT TO diverted DO INSTEAD NOTHING;
CREATE TABLE updated (id int PRIMARY KEY);
CREATE RULE updating AS ON UPDATE TO updated DO ALSO NOTHING;
CREATE TABLE calm (id int PRIMARY KEY);
CREATE RULE calming AS ON INSERT TO calm DO ALSO NOTHING;
CREATE TABLE deleted (id int PRIMARY KEY);
CREATE RULE deleting AS ON DELETE TO deleted DO INSTEAD NOTHING;
CREATE TABLE guarded (id int PRIMARY KEY);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE TABLE filtered (id int PRIMARY KEY);
ALTER TABLE filtered ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON filtered TO hikyaku_loader USING (id < 10);
CREATE TABLE booked (id int PRIMARY KEY, during int4range, EXCLUDE USING gist (during WITH &&));
CREATE TABLE cited (id int PRIMARY KEY);
CREATE TABLE cites (id int PRIMARY KEY, cited int REFERENCES cited ON DELETE CASCADE);
CREATE TABLE refused (id int PRIMARY KEY);
REVOKE ALL ON refused FROM hikyaku_loader;
GRANT SELECT ON refused TO hikyaku_loader;
CREATE SCHEMA closed;
CREATE TABLE closed.orders (id int PRIMARY KEY);
GRANT SELECT, INSERT, UPDATE ON closed.orders TO hikyaku_loader;
CREATE SEQUENCE drawn;
REVOKE ALL ON drawn FROM hikyaku_loader;
CREATE TABLE counted (id int PRIMARY KEY, n int DEFAULT nextval('drawn'));
CREATE DOMAIN document AS json;
CREATE TABLE typed (
    id int PRIMARY KEY, doc json, spot point, small smallint, words text, twice int GENERATED ALWAYS AS (id) STORED, d document
);
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE "Ärger (1)" ("Id" int PRIMARY KEY, "Größe" mood);
"""


@pytest.fixture(scope="module")
def troubled(database: Database) -> Database:
    with database.connect() as owner:
        owner.execute(SCHEMA)
    return database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "datasets.toml"


def checked(database: Database, file: Path, text: str, *names: str, user: str = "hikyaku_loader", role: str | None = None) -> Report:
    file.write_text(text, encoding="utf-8")
    return examine(file, database.url(user), names, role)


def said(report: Report) -> tuple[list[str], list[str]]:
    """Problems and warnings."""
    return [str(each) for each in report.all_problems()], [str(each) for plan in report.plans for each in plan.warnings]


def test_the_plan_of_a_dataset_without_trouble(troubled: Database, file: Path) -> None:
    text = """
[datasets.customers]
table = "fine"
rename = {"名前" = "name"}
on_extra_column = "rescue"
on_missing_column = "default"
newer_by = "at"
watermark = "at"
delete_when = {status = "D"}
file_column = "source"
line_column = "line"
datestyle = "ISO, DMY"
timezone = "Asia/Tokyo"
max_rejected_rows = 0.01
"""
    report = checked(troubled, file, text)
    assert said(report) == ([], [])
    assert report.is_fine()
    (plan,) = report.plans
    assert (plan.dataset, plan.keys, plan.table, plan.mode, plan.key) == (
        "customers",
        "incoming/customers/*",
        "public.fine",
        "upsert",
        ("id",),
    )
    assert {column.name: (column.type, column.comes_from) for column in plan.columns} == {
        "id": ("integer", "the file"),
        "name": ("text", 'the file as "名前"'),
        "note": ("text", "the file, may be missing (NULL)"),
        "at": ("timestamp with time zone", "the file, may be missing (default)"),
        "total": ("integer", "the table (generated)"),
        "number": ("integer", "the table (identity)"),
        "rescued": ("jsonb", "what the table lacks, as JSON"),
        "source": ("text", "the object's key"),
        "line": ("bigint", "the line in the file"),
    }


PROBLEMS = {
    "table = 'nowhere'": "line 2: datasets.a.table: there is no table public.nowhere",
    "table = 'hikyaku.files'": "line 2: datasets.a.table: hikyaku.files is not for loading",
    "table = 'seen'": "line 2: datasets.a.table: public.seen is a view",
    "table = 'kept'": "line 2: datasets.a.table: public.kept is a materialized view",
    "table = 'numbers'": "line 2: datasets.a.table: public.numbers is a sequence",
    "table = 'keyless'": "line 1: datasets.a.key: public.keyless has no primary key to upsert on",
    "table = 'later'": "line 1: datasets.a.key: public.later has no primary key to upsert on",
    "table = 'fine'\nkey = 'name'": "line 3: datasets.a.key: public.fine has no unique index on (name)",
    "table = 'parts'": "line 2: datasets.a.table: public.parts has no partition",
    "table = 'ruled'": "line 1: datasets.a.mode: public.ruled has rules (noting): PostgreSQL can't upsert into it",
    "table = 'updated'": "line 1: datasets.a.mode: public.updated has rules (updating): PostgreSQL can't upsert into it",
    "table = 'diverted'\nmode = 'append'": "has a rule that does something else instead of an insert",
    "table = 'guarded'": "line 2: datasets.a.table: public.guarded has row-level security and no policy for hikyaku_loader",
    "table = 'refused'": 'lacks INSERT, UPDATE on public.refused: GRANT INSERT, UPDATE ON "public"."refused" TO "hikyaku_loader"',
    "table = 'refused'\nmode = 'replace'": "line 2: datasets.a.table: hikyaku_loader lacks DELETE, INSERT on public.refused",
    "table = 'refused'\ndelete_when = {x = 'D'}": "line 2: datasets.a.table: hikyaku_loader lacks DELETE, INSERT, UPDATE on public.refused",
    "table = 'closed.orders'": 'hikyaku_loader may not use schema closed: GRANT USAGE ON SCHEMA "closed" TO "hikyaku_loader"',
    "table = 'counted'": "hikyaku_loader may not draw defaults from drawn: GRANT USAGE ON SEQUENCE drawn",
    "table = 'typed'\nnewer_by = 'version'": 'line 3: datasets.a.newer_by: public.typed has no column "version"',
    "table = 'typed'\nnewer_by = 'doc'": 'line 3: datasets.a.newer_by: column "doc" is of type json: its values have no order',
    "table = 'typed'\nnewer_by = 'twice'": 'line 3: datasets.a.newer_by: the table makes the values of "twice" itself (generated)',
    "table = 'typed'\nwatermark = 'spot'": 'line 3: datasets.a.watermark: column "spot" is of type point: its values have no order',
    "table = 'typed'\nfile_column = 'source'": 'line 3: datasets.a.file_column: public.typed has no column "source": add one of type text',
    "table = 'typed'\nfile_column = 'small'": 'line 3: datasets.a.file_column: column "small" is of type smallint: an object',
    "table = 'typed'\nline_column = 'small'": 'line 3: datasets.a.line_column: column "small" is of type smallint: a line',
    "table = 'typed'\non_extra_column = 'rescue'": 'datasets.a.rescue_column: public.typed has no column "rescued": add one of type jsonb',
    "table = 'typed'\non_extra_column = 'rescue'\nrescue_column = 'words'": 'line 4: datasets.a.rescue_column: column "words" is',
    "table = 'typed'\ntimezone = 'Mars/Olympus'": 'line 3: datasets.a.timezone: PostgreSQL does not know "Mars/Olympus"',
    "table = 'fine'\nheader = false\ncolumns = ['id']": "line 4: datasets.a.columns: the file lacks name, note",
    "table = 'fine'\nheader = false\ncolumns = ['id', 'nam']": "line 4: datasets.a.columns: public.fine has no column nam",
    "table = 'keyless'\nmode = 'append'\nheader = false\ncolumns = ['id', 'x']\nrename = {x = 'nam'}": "public.keyless has no column nam",
    "table = 'typed'\nheader = false\ncolumns = ['id', 'doc', 'spot', 'small', 'words', 'd', 'twice']": "makes the values of twice itself",
}


@pytest.mark.parametrize(("lines", "expected"), PROBLEMS.items(), ids=PROBLEMS.keys())
def test_a_problem_is_named_with_its_line(troubled: Database, file: Path, lines: str, expected: str) -> None:
    report = checked(troubled, file, f"[datasets.a]\n{lines}\n")
    problems, _ = said(report)
    assert [problem for problem in problems if expected in problem], problems
    assert len(problems) == 1, problems
    assert not report.is_fine()


WARNINGS = {
    "table = 'unlogged'": "line 2: datasets.a.table: public.unlogged is unlogged",
    "table = 'slice'": "line 2: datasets.a.table: public.slice is a partition",
    "table = 'triggered'\nmode = 'replace'": "triggers may change or drop rows before they are stored (dropper)",
    "table = 'triggered'": "triggers run for what is loaded (teller)",
    "table = 'ruled'\nmode = 'append'": "rules do more than what the loader asks for (noting)",
    "table = 'deleted'\nmode = 'replace'": "line 3: datasets.a.mode: rules may keep or move the rows that the loader deletes (deleting)",
    "table = 'deleted'\ndelete_when = {x = 'D'}": "rules may keep or move the rows that the loader deletes (deleting)",
    "table = 'filtered'": "row-level security applies to hikyaku_loader: rows that it hides or refuses reject the file (small)",
    "table = 'booked'": "exclusion constraint rejects the file (booked_during_excl)",
    "table = 'later'\nmode = 'append'": "deferrable constraints are looked at when all rows are in: an error names no line (later_pkey)",
    "table = 'parent'\nmode = 'replace'": "line 3: datasets.a.mode: tables inherit from public.parent",
    "table = 'cited'\nmode = 'replace'": "cites refers to public.cited, whose rows replace takes away: rows that refer are deleted",
    "table = 'fine'\nmode = 'append'\nkey = 'id'": "line 4: datasets.a.key: key has no effect",
    "table = 'fine'\nmode = 'append'\non_duplicate_key = 'last'": "line 4: datasets.a.on_duplicate_key: on_duplicate_key has no effect",
    "table = 'fine'\nmatch = 'incoming/a/{day}.csv.gz.age'\norder_by = 'day'": 'order_by: order_by = "{day}" has no effect',
    "table = 'fine'\norder_by = 'seq'\nsignature = 'off'": "order_by: order_by goes by the sender's number, and",
    "table = 'fine'\nseq = 'unique'\nsignature = 'if_present'": "line 3: datasets.a.seq: seq goes by the sender's number, and",
    "table = 'fine'\nmode = 'replace'\n[datasets.b]\ntable='fine'": "line 3: datasets.a.mode: replace takes away what dataset b has loaded",
}


@pytest.mark.parametrize(("lines", "expected"), WARNINGS.items(), ids=WARNINGS.keys())
def test_what_may_surprise_is_named_and_counts_as_fine(troubled: Database, file: Path, lines: str, expected: str) -> None:
    report = checked(troubled, file, f"[datasets.a]\n{lines}\n")
    problems, warnings = said(report)
    assert [warning for warning in warnings if expected in warning], warnings
    assert problems == []
    assert report.is_fine()


@pytest.mark.parametrize(
    "lines",
    [
        "table = 'whole'",
        "table = 'calm'",
        "table = 'keyless'\nmode = 'replace'\nmatch = 'incoming/a/{day}.csv.gz.age'\norder_by = 'day'",
        "table = 'fine'\norder_by = 'seq'\nseq = 'unique'",
        "table = 'keyless'\nmode = 'append'",
        "table = 'keyless'\nmode = 'replace'",
        "table = 'parent'",
        "table = 'Ärger (1)'\nnewer_by = 'Größe'",
        "table = 'fine'\nheader = false\ncolumns = ['id', 'name']\non_missing_column = 'default'\nfile_column = 'source'",
        "table = 'keyless'\nmode = 'append'\nheader = false\ncolumns = ['id', 'name', 'x']\non_extra_column = 'ignore'",
        "table = 'typed'\nheader = 'match'\non_extra_column = 'rescue'\nrescue_column = 'd'",
        "table = 'keyless'\nmode = 'append'\nheader = 'match'\ncolumns = ['id', '名前']\nrename = {'名前' = 'name'}",
        "table = 'unlogged'\nheader = false\ncolumns = ['id', 'status']\ndelete_when = {status = 'D'}",
    ],
)
def test_what_works_is_not_complained_of(troubled: Database, file: Path, lines: str) -> None:
    problems, warnings = said(checked(troubled, file, f"[datasets.a]\n{lines}\n"))
    assert problems == []
    assert not [warning for warning in warnings if "order_by" in warning or "seq" in warning]


def test_an_order_that_no_match_captures_is_named(troubled: Database, file: Path) -> None:
    problems, _ = said(checked(troubled, file, "[datasets.fine]\nmatch = 'incoming/a/{day}.csv.gz.age'\norder_by = '{dya}'\n"))
    assert problems == [
        'line 3: datasets.fine.order_by: order_by is neither "event_time" nor "seq", and match captures no {dya} (did you mean day?)'
    ]


REASONS = {"dataset_invalid", "table_unknown", "constraint_violated"}


@pytest.mark.parametrize(
    "table", ["keyless", "later", "parts", "ruled", "updated", "guarded", "refused", "closed.orders", "counted", "seen"]
)
def test_the_loader_rejects_what_the_check_has_a_problem_with(troubled: Database, desk: Desk, table: str) -> None:
    desk.configure(f"[datasets.a]\ntable = '{table}'\non_missing_column = 'default'\n")
    assert not examine(desk.folder / "datasets.toml", troubled.url()).is_fine()
    content = "id,name\n1,x\n" if table in {"keyless", "later"} else "id\n1\n"
    settlement = desk.send("incoming/a/x.csv.gz.age", content)
    assert (settlement.status, desk.ledger(settlement)["error_code"] in REASONS) == ("rejected", True)


@pytest.mark.parametrize(
    "table", ["unlogged", "slice", "triggered", "filtered", "cited", "whole", "parent", "keyless", "ruled", "calm", "deleted"]
)
def test_the_loader_loads_what_the_check_warns_of(troubled: Database, desk: Desk, table: str) -> None:
    mode = "append" if table in {"keyless", "ruled"} else "upsert"
    desk.configure(f"[datasets.a]\ntable = '{table}'\nmode = '{mode}'\non_missing_column = 'default'\n")
    assert examine(desk.folder / "datasets.toml", troubled.url()).is_fine()
    content = "id,name\n1,x\n" if table == "keyless" else "id\n1\n"
    assert desk.send("incoming/a/x.csv.gz.age", content).status == "loaded"


def test_all_troubles_come_at_once(troubled: Database, file: Path) -> None:
    text = "[datasets.broken]\nmode = 'x'\n" + "".join(
        f"[datasets.d{number}]\ntable = '{table}'\n" for number, table in enumerate(["nowhere", "seen", "keyless", "fine", "ruled"])
    )
    report = checked(troubled, file, text)
    problems, _ = said(report)
    assert [problem.split(":")[0] for problem in problems] == ["line 2", "line 4", "line 6", "line 7", "line 11"]
    assert [plan.dataset for plan in report.plans] == ["d0", "d1", "d2", "d3", "d4"]


def test_datasets_by_name_with_and_without_an_entry(troubled: Database, file: Path) -> None:
    text = "[datasets.a]\ntable = 'nowhere'\n[datasets.b]\nmode = 'x'\n[datasets.c]\nmatch = 'incoming/x/*'\ntable = 'whole'\n"
    report = checked(troubled, file, text, "fine", "keyless", "b", "c", "a/b")
    assert [(plan.dataset, plan.keys) for plan in report.plans[:2]] == [("fine", "incoming/fine/*"), ("keyless", "incoming/keyless/*")]
    assert report.plans[2].keys == "incoming/x/*"
    problems, _ = said(report)
    assert [problem for problem in problems if problem.startswith("datasets.keyless.key: public.keyless has no primary key")]
    assert [problem for problem in problems if problem.startswith("line 4: datasets.b.mode")]
    assert [problem for problem in problems if problem.startswith('datasets."a/b": is no dataset')]
    assert not [problem for problem in problems if "nowhere" in problem]


def test_whoever_connects_is_told_of_the_loaders_rights(troubled: Database, file: Path) -> None:
    text = "[datasets.refused]\n[datasets.guarded]\n"
    for user in ("hikyaku_loader", "hikyaku_owner", "postgres"):
        report = checked(troubled, file, text, user=user)
        assert report.role == "hikyaku_loader"
        assert len(report.all_problems()) == 2
    assert checked(troubled, file, text, role="hikyaku_owner").is_fine()


def test_a_type_without_an_input_check_is_told_where_it_matters(troubled: Database, file: Path) -> None:
    with troubled.connect() as owner:
        owner.execute("CREATE FUNCTION strict_word(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'")
        owner.execute("CREATE DOMAIN word AS text CHECK (strict_word(VALUE))")
        owner.execute("CREATE TABLE worded (id int PRIMARY KEY, w word)")
    assert said(checked(troubled, file, "[datasets.worded]\n")) == ([], [])
    _, (warning,) = said(checked(troubled, file, "[datasets.worded]\nmax_rejected_rows = 5\n"))
    assert warning.startswith('line 2: datasets.worded.max_rejected_rows: a wrong value in column "w" rejects the file all the same')


def test_an_older_postgresql_is_checked_too(old_database: Database, file: Path) -> None:
    with old_database.connect() as owner:
        owner.execute(SCHEMA)
    report = checked(old_database, file, "[defaults]\nmax_rejected_rows = 1\n[datasets.fine]\n[datasets.triggered]\n[datasets.refused]\n")
    assert len(report.all_problems()) == 1


def test_nothing_is_written_and_nothing_stays_locked(troubled: Database, file: Path) -> None:
    def state() -> object:
        with troubled.connect("postgres") as admin:
            return admin.execute("SELECT count(*), sum(oid::bigint) FROM pg_class").fetchall(), admin.execute(
                "SELECT sum(n_tup_ins) FROM pg_stat_all_tables WHERE schemaname = 'public'"
            ).fetchall()

    before = state()
    checked(troubled, file, "".join(f"[datasets.{name}]\n" for name in ("fine", "ruled", "booked", "cited")))
    assert state() == before
    with troubled.connect() as owner:
        owner.execute("SET lock_timeout = '1s'; ALTER TABLE fine ADD COLUMN later int; ALTER TABLE fine DROP COLUMN later")


@pytest.fixture
def environment(troubled: Database, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = file.with_name("database_url")
    url.write_text(troubled.url() + "\n")
    monkeypatch.setenv("HIKYAKU_DATABASE_URL_FILE", str(url))
    monkeypatch.setenv("HIKYAKU_DATASETS", str(file))


CASES = {"[datasets.fine]\n": 0, "[datasets.fine]\nkey = 'name'\n": 1, "[datasets.fine]\nkee = 1\n": 1, "[datasets": 2}


@pytest.mark.parametrize(("text", "code"), CASES.items())
def test_the_command_tells_by_its_exit_code(environment: None, file: Path, text: str, code: int) -> None:
    file.write_text(text)
    result = CliRunner().invoke(app, ["datasets", "check"])
    assert (getattr(result.exception, "exit_code", result.exit_code), result.exit_code != 0) == (code, code != 0)
    if code < 2:
        assert f"{code} problem" in " ".join(result.stdout.split())


@pytest.mark.parametrize(("text", "code"), CASES.items())
def test_the_program_in_the_container_does_the_same(
    environment: None, file: Path, text: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    assert main([]) == code
    said = "".join(capsys.readouterr())
    assert ("line 1: this is no TOML" in said) if code == 2 else (f"{code} problem" in said)


def test_the_terminal_and_json_tell_the_same(environment: None, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[datasets.booked]\n[datasets.fine]\nkey = 'name'\n[datasets.x]\nmode = '[y]'\n")
    runner = CliRunner()
    shown = " ".join(runner.invoke(app, ["datasets", "check"], env={"COLUMNS": "200"}).stdout.split())
    document = json.loads(runner.invoke(app, ["datasets", "check", "--json"]).stdout)
    assert main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out) == document
    assert (document["fine"], document["role"], [plan["dataset"] for plan in document["plans"]]) == (
        False,
        "hikyaku_loader",
        ["booked", "fine"],
    )
    told = [*document["problems"], *(each for plan in document["plans"] for each in [*plan["problems"], *plan["warnings"]])]
    assert len(told) == 3
    for each in told:
        assert f"line {each['line']}: {each['where']}: {each['what']}" in shown
    for column in document["plans"][0]["columns"]:
        assert f"{column['name']} │ {column['type']} │ {column['comes_from']}" in shown


def test_the_file_alone(file: Path) -> None:
    file.write_text("[datasets.a]\nmode = 'x'\n")
    result = CliRunner().invoke(app, ["datasets", "check", "--file", str(file), "--file-only"])
    assert result.exit_code == 1
    assert "line 2: datasets.a.mode" in result.stdout


@pytest.mark.parametrize(
    ("conninfo", "role", "told"),
    [
        ("postgresql://hikyaku_loader:geheim@127.0.0.1:1/x", None, "PostgreSQL: "),
        ("postgresql://u:geheim@[", None, "the database's URL is none"),
        ("", "nobody_at_all", "there is no role nobody_at_all"),
    ],
)
def test_what_can_not_be_checked_is_said_without_the_password(
    troubled: Database, file: Path, conninfo: str, role: str | None, told: str
) -> None:
    file.write_text("")
    with pytest.raises(NotCheckedError, match=told) as error:
        examine(file, conninfo or troubled.url(), (), role)
    assert "geheim" not in str(error.value)


def test_a_file_that_is_not_there(troubled: Database, file: Path) -> None:
    with pytest.raises(NotCheckedError, match=r"datasets\.toml: No such file"):
        examine(file, troubled.url())


def test_a_command_without_a_database_says_what_it_needs(file: Path) -> None:
    file.write_text("")
    result = CliRunner().invoke(
        app, ["datasets", "check", "--file", str(file)], env={"HIKYAKU_DATABASE_URL": None, "HIKYAKU_DATABASE_URL_FILE": None}
    )
    assert getattr(result.exception, "exit_code", None) == 2
    result = CliRunner().invoke(app, ["datasets", "check", "--file", str(file), "--database-url-file", str(file.with_name("none"))])
    assert "can't be read" in str(result.exception)


def test_the_transaction_can_not_write(troubled: Database, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("[datasets.fine]\n")

    def meddle(connection: psycopg.Connection, *_: object) -> None:
        connection.execute("DELETE FROM fine")

    monkeypatch.setattr("loader.check.examine.plan", meddle)
    with pytest.raises(NotCheckedError, match="read-only"):
        examine(file, troubled.url())
