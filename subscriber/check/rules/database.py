"""What is wrong with the database: how a connection that failed is told, and what a look inside shows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from subscriber.check.rules.finding import Finding
from subscriber.errors import ExitCode, SchemaError, StoreError, Treatment

SUBJECT = "database"
OLDEST_VERSION = 140_000
"""PostgreSQL 14, the oldest that is still maintained (PostgreSQL's versioning policy); as server_version_num."""

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
"""Table, privilege, columns: what the daemon's statements touch. Who may do it to the table may do it to each column,
and not the other way round: the writer of config/sql has no more than these columns. An upsert reads what it compares
with: ON CONFLICT DO UPDATE needs SELECT too (PostgreSQL, "INSERT")."""

AuthMethod: TypeAlias = Literal["password", "iam", "secret"]

_LOGIN_REMEDIES: dict[AuthMethod, str] = {
    "password": "correct user and password in SUBSCRIBER_DATABASE_URL",
    "iam": "GRANT rds_iam TO the user, allow the role rds-db:connect for it, and name the host as RDS does",
    "secret": "see that the secret of SUBSCRIBER_DATABASE_SECRET_ARN holds the user's present password",
}

_REMEDIES = {
    "certificate": "set SUBSCRIBER_DATABASE_CA_FILE to RDS's bundle, and name the host as its certificate does",
    "no_database": "CREATE DATABASE, or correct the name in SUBSCRIBER_DATABASE_URL",
    "no_privilege": "GRANT CONNECT ON DATABASE for the database in SUBSCRIBER_DATABASE_URL to its user",
    "read_only": "name the cluster's writer endpoint in SUBSCRIBER_DATABASE_URL",
    "too_many_connections": "raise max_connections or the role's limit, or lower SUBSCRIBER_WRITE_MAX_CONCURRENCY",
    "unreachable": "check host and port in SUBSCRIBER_DATABASE_URL, the security group, and that the database runs",
    "timeout": "check the security group between this host and the database; a dropped packet looks like this",
    "secret_unreachable": "check the security group, and that a NAT or VPC endpoint leads to Secrets Manager",
}


class DatabaseFacts(msgspec.Struct, frozen=True):
    """What one look shows."""

    user: str
    version_number: int
    """server_version_num."""
    is_read_only: bool
    has_schema: bool
    may_use_schema: bool
    denied: Sequence[tuple[str, str, str]] = ()
    """Table, privilege and column, of those in NEEDED whose column exists."""
    connections_at_most: int = -1
    """The user's own limit; −1: none."""
    connections_free: int = 0
    """Of max_connections, for users like this one, at this moment."""


def failure_finding(error: StoreError, auth: AuthMethod) -> Finding:
    """What a connection, or the look, that failed means."""
    said = f"{error.word}{f' {error.sqlstate}' if error.sqlstate else ''}: {error.detail}"
    if error.word == "no_tls":
        problem = "takes no TLS, and SUBSCRIBER_DATABASE_TLS asks for it"
        return _error(f"{problem} ({said})", "turn TLS on in the server; only for a tunnel of your own choose disable")
    if error.word == "pooler":
        return _error(f"a pooler stands before it ({said})", "set SUBSCRIBER_DATABASE_POOLER=transaction")
    if error.sqlstate == "28000" and "no encryption" in error.detail:
        return _error(f"takes this user only under TLS ({said})", "set SUBSCRIBER_DATABASE_TLS=verify-full")
    if error.treatment is Treatment.CREDENTIALS and error.sqlstate is not None:
        return _error(f"refuses the login ({said})", _LOGIN_REMEDIES[auth])
    return _error(said, _REMEDIES.get(error.word) or error.advice)


def database_findings(schema: str, facts: DatabaseFacts, connections: int) -> Iterator[Finding]:
    """What a look inside shows.

    Args:
        schema: its name.
        facts: what was seen.
        connections: how many this daemon may open.
    """
    if facts.version_number < OLDEST_VERSION:
        version = facts.version_number // 10_000
        yield _error(f"is PostgreSQL {version}", f"upgrade to PostgreSQL {OLDEST_VERSION // 10_000} or later")
    if facts.is_read_only:
        yield _error("is read-only here: a replica, or the reader endpoint", _REMEDIES["read_only"])
    yield from _privileges(schema, facts)
    yield from _connections(facts, connections)


def can_read_ledger(facts: DatabaseFacts) -> bool:
    """Whether it can be seen of which release the schema is; without a schema that is seen too."""
    if not facts.has_schema:
        return True
    return facts.may_use_schema and "schema_migrations" not in {table for table, _, _ in facts.denied}


def schema_finding(error: SchemaError) -> Finding:
    """A schema that is missing, old, or of another release."""
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
    """The privileges on a table as GRANT takes them: with their columns where only some of these are denied."""
    for table, privilege, columns in NEEDED:
        lacking = [column for column in columns if (wanted, privilege, column) in facts.denied]
        if table == wanted and lacking:
            yield privilege if len(lacking) == len(columns) else f"{privilege} ({', '.join(lacking)})"


def _connections(facts: DatabaseFacts, connections: int) -> Iterator[Finding]:
    if 0 <= facts.connections_at_most < connections:
        most = facts.connections_at_most
        problem = f"lets user {facts.user} have {most} connections, one daemon may open {connections}"
    elif facts.connections_free < connections:
        problem = f"has {facts.connections_free} free connections now, one daemon may open {connections}"
    else:
        return
    remedy = f"{_REMEDIES['too_many_connections']}; a deployment runs old and new tasks side by side"
    yield Finding("warning", ExitCode.DATABASE, SUBJECT, problem, remedy)


def _error(problem: str, remedy: str) -> Finding:
    return Finding("error", ExitCode.DATABASE, SUBJECT, problem, remedy.rstrip("."))
