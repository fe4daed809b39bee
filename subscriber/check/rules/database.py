"""Rules about the database: failed connections, version, privileges, connections and schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from subscriber.check.rules.finding import Finding
from subscriber.choices import AuthMethod
from subscriber.errors import ExitCode, SchemaError, StoreError, Treatment

SUBJECT = "database"
OLDEST_VERSION = 140_000
"""PostgreSQL 14, the oldest maintained version (PostgreSQL's versioning policy), as server_version_num."""

_KEY = ("bucket", "key", "version_id")
_COMPARED = ("state", "sequencer", "event_name", "event_time", "size_bytes", "etag")
NEEDED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("object_versions", "SELECT", (*_KEY, *_COMPARED)),
    ("object_versions", "INSERT", (*_KEY, *_COMPARED)),
    ("object_versions", "UPDATE", (*_COMPARED, "ingested_at")),
    ("quarantined_messages", "SELECT", ("queue", "message_id", "receive_count")),
    ("quarantined_messages", "INSERT", ("queue", "message_id", "reason", "detail", "body", "receive_count")),
    ("quarantined_messages", "UPDATE", ("receive_count",)),
    ("schema_migrations", "SELECT", ("major", "number")),
)
"""Table, privilege and columns that the daemon's statements need. A privilege on the table covers every column, but not
the other way round: the writer of config/sql has only these columns. ON CONFLICT DO UPDATE also needs SELECT, because
the upsert reads the columns that it compares (PostgreSQL, "INSERT")."""

_NOTED = ("events_since", "oldest_event_time", "youngest_event_time", "last_stored_at", "event_rows")
NEEDED_FOR_NOTES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("buckets", "SELECT", ("bucket", *_NOTED)),
    ("buckets", "INSERT", ("bucket", *_NOTED)),
    ("buckets", "UPDATE", _NOTED),
)
"""The same of the notes about buckets, without which the daemon goes on."""

_LOGIN_REMEDIES: dict[AuthMethod, str] = {
    "password": "correct user and password in SUBSCRIBER_DATABASE_URL",
    "iam": "GRANT rds_iam TO the user, allow the role rds-db:connect for it, and name the host as RDS does",
    "secret": "make sure that the secret of SUBSCRIBER_DATABASE_SECRET_ARN contains the user's current password",
}

_REPLICA = "is read-only here: a replica, or the reader endpoint"
_SET_READ_ONLY = "is set read-only: default_transaction_read_only is on for the database or the role"
_REMEDIES = {
    "certificate": "set SUBSCRIBER_DATABASE_CA_FILE to RDS's bundle, and name the host as its certificate does",
    "no_database": "CREATE DATABASE, or correct the name in SUBSCRIBER_DATABASE_URL",
    "no_privilege": "GRANT CONNECT ON DATABASE for the database in SUBSCRIBER_DATABASE_URL to its user",
    "no_tls": "enable TLS in the server, or choose disable inside a tunnel of yours",
    "pooler": "set SUBSCRIBER_DATABASE_POOLER=transaction",
    "read_only_setting": "free space if its disk is nearly full, then RESET default_transaction_read_only",
    "standby": "name the cluster's writer endpoint in SUBSCRIBER_DATABASE_URL",
    "unsupported_setting": "name a PostgreSQL server; for a pooler in front of one set "
    "SUBSCRIBER_DATABASE_POOLER=transaction",
    "weaker_session": "if a pooler or proxy drops what a login asks for, set SUBSCRIBER_DATABASE_POOLER=transaction; "
    "else find the login trigger or preloaded library that changes it",
    "too_many_connections": "raise max_connections or the role's limit, or lower SUBSCRIBER_WRITE_MAX_CONCURRENCY",
    "unreachable": "check host and port in SUBSCRIBER_DATABASE_URL, the security group, and that the database runs",
    "timeout": "check the security group between this host and the database: dropped packets are the usual cause",
    "secret_unreachable": "check the security group, and that a NAT or VPC endpoint leads to Secrets Manager",
}


_PROBLEMS = {
    "no_tls": "does not support TLS, but SUBSCRIBER_DATABASE_TLS requires it",
    "pooler": "is behind a pooler",
    "read_only_setting": _SET_READ_ONLY,
    "standby": _REPLICA,
    "weaker_session": "gives a session that is weaker than asked",
}
"""What these failures mean, where the word alone would not say it."""


class DatabaseFacts(msgspec.Struct, frozen=True):
    """The facts about the database."""

    user: str
    version_number: int
    """server_version_num."""
    is_read_only: bool
    """Whether our sessions are; also on a replica."""
    has_schema: bool
    may_use_schema: bool
    denied: Sequence[tuple[str, str, str]] = ()
    """Missing privileges of NEEDED: table, privilege, column; only columns that exist."""
    connections_at_most: int = -1
    """The connection limit of the user; −1: none."""
    connections_free: int = 0
    """Of max_connections, available to ordinary users now."""
    is_in_recovery: bool = False
    """Whether it is a replica."""


def failure_finding(error: StoreError, auth: AuthMethod) -> Finding:
    """The finding for a failed connection or statement."""
    message = f"{error.word}{f' {error.sqlstate}' if error.sqlstate else ''}: {error.detail}"
    if error.word in _PROBLEMS:
        return _error(f"{_PROBLEMS[error.word]} ({message})", _REMEDIES[error.word])
    if error.sqlstate == "28000" and "no encryption" in error.detail:
        return _error(f"accepts this user only with TLS ({message})", "set SUBSCRIBER_DATABASE_TLS=verify-full")
    if error.treatment is Treatment.CREDENTIALS and error.sqlstate is not None:
        return _error(f"rejects the login ({message})", _LOGIN_REMEDIES[auth])
    return _error(message, _REMEDIES.get(error.word) or error.advice)


def rehearsal_finding(error: StoreError, schema: str, user: str) -> Finding:
    """The finding for a row of our own that the database did not accept; it was to be rolled back.

    Where the row itself may be the cause, real rows may be accepted: a warning.
    """
    message = f"{error.word}{f' {error.sqlstate}' if error.sqlstate else ''}: {error.detail}"
    if error.sqlstate == "42501":
        return _denied_write(message, schema, user)
    if error.sqlstate == "23502":
        remedy = "give that column a default, or drop its NOT NULL"
        return _error(
            f"rejects every row, because a column that subscriber does not fill is NOT NULL ({message})", remedy
        )
    if error.treatment.concerns_row:
        problem = f"rejected a row of subscriber's own, which was to be rolled back ({message})"
        return _warning(problem, "make sure that triggers and constraints accept the rows of your buckets")
    if error.treatment in {Treatment.RETRY, Treatment.BACK_OFF}:
        return _warning(f"no write could be tried ({message})", "find the session that locks the tables")
    if error.word == "schema_mismatch":
        remedy = "all migrations are applied: correct your trigger, or undo your change of the table"
        return _error(f"does not accept writes ({message})", remedy)
    return _error(f"does not accept writes ({message})", _REMEDIES.get(error.word) or error.advice)


def _denied_write(message: str, schema: str, user: str) -> Finding:
    if "row-level security" not in message:
        return _error(f"a write of user {user} lacks a privilege ({message})", "GRANT it, also for what triggers use")
    remedy = f"CREATE POLICY … ON that table of {schema} FOR ALL TO {user} USING (true) WITH CHECK (true)"
    return _error(f"row-level security rejects the rows of user {user} ({message})", remedy)


def database_findings(schema: str, facts: DatabaseFacts, connections: int) -> Iterator[Finding]:
    """The findings from the facts.

    Args:
        schema: its name.
        facts: of the database.
        connections: that this daemon may open.
    """
    if facts.version_number < OLDEST_VERSION:
        version = facts.version_number // 10_000
        yield _error(f"is PostgreSQL {version}", f"upgrade to PostgreSQL {OLDEST_VERSION // 10_000} or later")
    if facts.is_in_recovery:
        yield _error(_REPLICA, _REMEDIES["standby"])
    elif facts.is_read_only:
        yield _error(_SET_READ_ONLY, _REMEDIES["read_only_setting"])
    yield from _privileges(schema, facts)
    yield from _connections(facts, connections)


def durability_findings(settings_off: Sequence[str]) -> Iterator[Finding]:
    """One warning for fsync and full_page_writes: with either off, a crash of the machine may lose committed rows."""
    if settings_off:
        off = " and ".join(settings_off)
        problem = f"has {off} off: a crash of its machine may lose rows whose messages are deleted, or damage tables"
        yield _warning(problem, f"set {off} to on in the server's configuration, unless its data may be lost")


def unnoted_findings(denied: Sequence[tuple[str, str, str]]) -> Iterator[Finding]:
    """One warning for missing privileges of NEEDED_FOR_NOTES."""
    if denied:
        lacking = " and ".join(dict.fromkeys(privilege for _, privilege, _ in denied))
        problem = f"grants no {lacking} on the table buckets, so `subscriber buckets` learns nothing of events"
        yield _warning(problem, "run config/sql/grants.sql again")


def can_read_ledger(facts: DatabaseFacts) -> bool:
    """Whether the version of the schema can be read; True without a schema, because that is an answer too."""
    if not facts.has_schema:
        return True
    return facts.may_use_schema and "schema_migrations" not in {table for table, _, _ in facts.denied}


def schema_finding(error: SchemaError) -> Finding:
    """The finding for a schema that is missing, older than this release, or of a later major."""
    problem, _, remedy = str(error).partition(". Run: ")
    return Finding("error", ExitCode.SCHEMA, SUBJECT, problem.rstrip("."), f"run `{remedy}`" if remedy else "")


def _privileges(schema: str, facts: DatabaseFacts) -> Iterator[Finding]:
    if facts.has_schema and not facts.may_use_schema:
        problem = f"user {facts.user} may not use the schema {schema}"
        yield _error(problem, f"GRANT USAGE ON SCHEMA {schema} TO {facts.user}")
    for table in dict.fromkeys(table for table, _, _ in facts.denied):
        denied = ", ".join(_denied(table, facts))
        problem = f"user {facts.user} lacks {denied} on {schema}.{table}"
        yield _error(problem, f"GRANT {denied} ON {schema}.{table} TO {facts.user}")


def _denied(wanted: str, facts: DatabaseFacts) -> Iterator[str]:
    """The missing privileges on a table in the syntax of GRANT, with columns if only some columns lack one."""
    for table, privilege, columns in NEEDED:
        lacking = [column for column in columns if (wanted, privilege, column) in facts.denied]
        if table == wanted and lacking:
            yield privilege if len(lacking) == len(columns) else f"{privilege} ({', '.join(lacking)})"


def _connections(facts: DatabaseFacts, connections: int) -> Iterator[Finding]:
    if 0 <= facts.connections_at_most < connections:
        most = facts.connections_at_most
        problem = f"allows user {facts.user} {most} connections, but one daemon may open {connections}"
    elif facts.connections_free < connections:
        problem = f"has {facts.connections_free} free connections now, but one daemon may open {connections}"
    else:
        return
    remedy = f"{_REMEDIES['too_many_connections']}; during a deployment old and new tasks run in parallel"
    yield Finding("warning", ExitCode.DATABASE, SUBJECT, problem, remedy)


def _warning(problem: str, remedy: str) -> Finding:
    return Finding("warning", ExitCode.DATABASE, SUBJECT, problem, remedy)


def _error(problem: str, remedy: str) -> Finding:
    return Finding("error", ExitCode.DATABASE, SUBJECT, problem, remedy.rstrip("."))
