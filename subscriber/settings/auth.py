"""Whether the ways to prove who we are fit together: DATABASE_AUTH, the URL, the secret and TLS. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.values import PREFIX


def auth_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """A sentence for each pair of settings that contradict each other; those that could not be read have their own."""
    method, secret = values.get("database_auth"), values.get("database_secret_arn")
    if method is None:
        return
    if method == "secret" and secret is None and "database_secret_arn" in values:
        yield f"{PREFIX}DATABASE_AUTH is secret: it needs {PREFIX}DATABASE_SECRET_ARN"
    if method != "secret" and secret is not None:
        yield (
            f"{PREFIX}DATABASE_SECRET_ARN is read only with {PREFIX}DATABASE_AUTH=secret, which is {method}: set one "
            "or leave out the other"
        )
    if method != "password" and url.secrets:
        yield (
            f"{PREFIX}DATABASE_URL holds a password, but {PREFIX}DATABASE_AUTH is {method}: leave it out of the URL, "
            "it would not be used"
        )
    if method == "iam":
        yield from _iam_mistakes(values, url)


def _iam_mistakes(values: Mapping[str, Any], url: DatabaseUrl) -> Iterator[str]:
    """A token is signed for one user at one host, and RDS takes it only under TLS.

    Source: Aurora User Guide, "IAM database authentication".
    """
    if not url.user:
        yield f"{PREFIX}DATABASE_URL names no user, and {PREFIX}DATABASE_AUTH=iam signs a token for one: add user@"
    if len(url.hosts) > 1 or url.hosts[0].startswith("/"):
        yield (
            f"{PREFIX}DATABASE_AUTH=iam signs a token for one host: name only the cluster's writer endpoint in "
            f"{PREFIX}DATABASE_URL"
        )
    if values.get("database_tls") == "disable":
        yield f"{PREFIX}DATABASE_AUTH=iam needs TLS, RDS takes no token without: set {PREFIX}DATABASE_TLS=verify-full"
