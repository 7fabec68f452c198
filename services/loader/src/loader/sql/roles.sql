-- Roles, database and privileges of the line. Run with psql as superuser, in any database; running it again is harmless:
--   psql -v ON_ERROR_STOP=1 [-v database=hikyaku] -f roles.sql
-- Passwords come from the environment: HIKYAKU_OWNER_PASSWORD, HIKYAKU_MIGRATOR_PASSWORD, HIKYAKU_LOADER_PASSWORD,
-- HIKYAKU_OPERATOR_PASSWORD. A role whose variable is not set is created without a password and keeps the one it has.
--
--   hikyaku_owner     owns the database: creates the tables that files are loaded into, reads the ledger and the records put aside
--   hikyaku_migrator  owns schema hikyaku and runs the migrations
--   hikyaku_loader    loads files: no table is its own
--   hikyaku_operator  reads the ledger, and no row data; may have it forget a file (hikyaku.forget)

\if :{?database}
\else
  \set database hikyaku
\endif

-- A failing ALTER ROLE must not put its password into the server's log.
SET log_min_error_statement = 'panic';
SET client_min_messages = 'warning';

SELECT format('CREATE ROLE %I LOGIN', role)
FROM unnest(ARRAY['hikyaku_owner', 'hikyaku_migrator', 'hikyaku_loader', 'hikyaku_operator']) AS role
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
\gexec

\getenv password HIKYAKU_OWNER_PASSWORD
\if :{?password}
  ALTER ROLE hikyaku_owner PASSWORD :'password';
  \unset password
\endif
\getenv password HIKYAKU_MIGRATOR_PASSWORD
\if :{?password}
  ALTER ROLE hikyaku_migrator PASSWORD :'password';
  \unset password
\endif
\getenv password HIKYAKU_LOADER_PASSWORD
\if :{?password}
  ALTER ROLE hikyaku_loader PASSWORD :'password';
  \unset password
\endif
\getenv password HIKYAKU_OPERATOR_PASSWORD
\if :{?password}
  ALTER ROLE hikyaku_operator PASSWORD :'password';
  \unset password
\endif

SELECT format('CREATE DATABASE %I OWNER hikyaku_owner', :'database')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database')
\gexec
ALTER DATABASE :"database" OWNER TO hikyaku_owner;
\connect :"database"
SET client_min_messages = 'warning';

REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"database" TO hikyaku_migrator, hikyaku_loader, hikyaku_operator;
-- The loader stages each file in a temporary table.
GRANT TEMPORARY ON DATABASE :"database" TO hikyaku_loader;
-- CREATE SCHEMA IF NOT EXISTS asks for this even where the schema exists.
GRANT CREATE ON DATABASE :"database" TO hikyaku_migrator;

CREATE SCHEMA IF NOT EXISTS hikyaku AUTHORIZATION hikyaku_migrator;
ALTER ROLE hikyaku_migrator IN DATABASE :"database" SET search_path = hikyaku;

-- What PostgreSQL says of a bad value quotes it. The loader tells what it may in the ledger; the server's log must not hold row data.
ALTER ROLE hikyaku_loader SET log_min_messages = 'fatal';

-- Whoever owns the database reads what the operator reads.
GRANT USAGE ON SCHEMA hikyaku TO hikyaku_operator;
GRANT hikyaku_operator TO hikyaku_owner;
-- Nobody gets a new table of ours by default, for it may hold row data: the migration that makes it grants it, by name.
ALTER DEFAULT PRIVILEGES FOR ROLE hikyaku_migrator IN SCHEMA hikyaku REVOKE SELECT ON TABLES FROM hikyaku_operator;

-- As PostgreSQL 15 and later have it from the start; a database that was upgraded from before lets everybody create there.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO hikyaku_owner;

-- Any table that the owner creates in public may be loaded.
GRANT USAGE ON SCHEMA public TO hikyaku_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE hikyaku_owner IN SCHEMA public
  GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO hikyaku_loader;
ALTER DEFAULT PRIVILEGES FOR ROLE hikyaku_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO hikyaku_loader;
