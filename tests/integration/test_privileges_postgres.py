"""Every PostgreSQL role against everything in the schemas hikyaku and public, and against the server."""

import psycopg
import pytest

from integration.postgres_fixture import Database, Server, new_database, run_roles
from loader import migrate
from privileges import designed, postgres

pytest_plugins = ("integration.postgres_fixture",)

WAS_DEFAULT = "ALTER DEFAULT PRIVILEGES FOR ROLE hikyaku_migrator IN SCHEMA hikyaku GRANT SELECT ON TABLES TO hikyaku_operator"


def against_the_design(database: Database) -> list[str]:
    with database.connect() as connection:
        design = designed.postgres(connection.info.server_version)
    return list(postgres.catalogue(database)[0].differences(design))


@pytest.fixture(scope="module", params=["server", "old_server"])
def filled(request: pytest.FixtureRequest) -> Database:
    return postgres.filled(new_database(request.getfixturevalue(request.param)))


def test_a_role_may_do_what_is_designed_and_nothing_else(filled: Database) -> None:
    assert against_the_design(filled) == []


def test_what_the_catalogue_says_is_what_happens_when_it_is_tried(filled: Database) -> None:
    assert list(postgres.disagreements(filled, postgres.catalogue(filled)[1])) == []


def test_no_role_becomes_another_or_gets_at_the_server(filled: Database) -> None:
    assert list(postgres.cluster(filled).differences(designed.CLUSTER)) == []


def test_the_operator_sees_that_a_record_was_put_aside_but_not_what_it_says(filled: Database) -> None:
    with filled.connect("hikyaku_operator") as operator:
        operator.execute(
            "SELECT bucket, key, version_id, line_number, column_name, error_code, error, rejected_at FROM hikyaku.rejected_rows"
        )
        for query in ("raw_text", "*", "count(raw_text)", "rejected_rows", "to_jsonb(rejected_rows)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(f"SELECT {query} FROM hikyaku.rejected_rows")


@pytest.mark.parametrize(
    ("granted", "said"),
    [
        ("GRANT SELECT (raw_text) ON hikyaku.rejected_rows TO hikyaku_operator", "hikyaku_operator may hikyaku.rejected_rows"),
        ("GRANT DELETE ON hikyaku.files TO hikyaku_loader", "hikyaku_loader may hikyaku.files DELETE, against the design"),
        ("REVOKE INSERT ON hikyaku.watermarks FROM hikyaku_loader", "hikyaku_loader may not hikyaku.watermarks INSERT"),
        ("CREATE TABLE hikyaku.new (a int); GRANT SELECT ON hikyaku.new TO PUBLIC", "hikyaku_operator may hikyaku.new SELECT"),
    ],
)
def test_a_privilege_too_much_or_too_little_is_noticed(server: Server, granted: str, said: str) -> None:
    database = postgres.filled(new_database(server))
    with database.connect("hikyaku_migrator") as migrator:
        migrator.execute(granted)
    assert any(said in sentence for sentence in against_the_design(database)), against_the_design(database)


def test_a_database_from_before_ends_with_the_same_privileges(server: Server) -> None:
    """Nobody runs roles.sql again on an upgrade: the migrations alone must take back what its defaults gave."""
    database = new_database(server, migrated=False)
    with database.connect("postgres") as superuser:
        superuser.execute(WAS_DEFAULT)
    migrate.migrate(database.url("hikyaku_migrator"))
    assert against_the_design(postgres.filled(database)) == []
    with database.connect("hikyaku_migrator") as migrator:
        migrator.execute("CREATE TABLE hikyaku.later (a int)")
    with database.connect("hikyaku_operator") as operator, pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute("SELECT FROM hikyaku.later")


def test_the_roles_may_be_made_again_and_close_what_an_old_database_left_open(server: Server) -> None:
    database = postgres.filled(new_database(server))
    with database.connect("postgres") as superuser:
        superuser.execute("ALTER SCHEMA public OWNER TO postgres; REVOKE CREATE ON SCHEMA public FROM hikyaku_owner")
        superuser.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        superuser.execute(f"GRANT ALL ON DATABASE {database.name} TO PUBLIC")
        superuser.execute(WAS_DEFAULT)
    assert against_the_design(database)
    for _ in range(2):
        run_roles(database)
        assert against_the_design(database) == []
    with database.connect("hikyaku_migrator") as migrator:
        migrator.execute("CREATE TABLE hikyaku.later (a int)")
    later = against_the_design(database)
    assert [each for each in later if not each.startswith("PostgreSQL: hikyaku_migrator may hikyaku.later")] == []
    assert later, "what is new is seen"
