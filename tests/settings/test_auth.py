"""Login settings that contradict each other are reported at start, each in one line."""

from __future__ import annotations

import pytest

from subscriber.adapters.postgres.auth import AuthOptions
from subscriber.errors import ConfigurationError
from subscriber.options import auth_options
from subscriber.settings.table import Settings
from tests.settings.test_settings import REQUIRED

HOST = "lake.cluster-c9akciq32rc9.eu-central-1.rds.amazonaws.com"
URL = f"postgresql://writer@{HOST}/lake"
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:lake-AbCdEf"


def read(**given: str) -> Settings:
    """Settings from these variables, named without their prefix, and the required ones."""
    return Settings.from_environment(REQUIRED | {f"SUBSCRIBER_{name}": value for name, value in given.items()})


def mistakes(**given: str) -> list[str]:
    """The lines of the error that these variables cause."""
    with pytest.raises(ConfigurationError) as caught:
        read(**given)
    return str(caught.value).splitlines()


def test_tokens_are_for_one_user_at_one_host() -> None:
    """The token is signed for the user, host and port of the URL."""
    settings = read(DATABASE_AUTH="iam", DATABASE_URL=f"postgresql://lake%20writer@{HOST}:6543/lake")
    assert auth_options(settings) == AuthOptions(method="iam", host=HOST, port=6543, user="lake writer")


def test_a_secret_is_named() -> None:
    """By ARN or name; the URL then needs neither user nor password."""
    for secret in (SECRET, "prod/lake/writer"):
        settings = read(DATABASE_AUTH="secret", DATABASE_SECRET_ARN=secret, DATABASE_URL=f"postgresql://{HOST}/lake")
        assert (auth_options(settings).method, auth_options(settings).secret_id) == ("secret", secret)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"DATABASE_AUTH": "secret", "DATABASE_URL": f"postgresql://u@{HOST}/x"},
            "it needs SUBSCRIBER_DATABASE_SECRET_ARN",
        ),
        (
            {"DATABASE_SECRET_ARN": SECRET, "DATABASE_URL": f"postgresql://u:p@{HOST}/x"},
            "only with SUBSCRIBER_DATABASE_AUTH=secret",
        ),
        ({"DATABASE_AUTH": "iam", "DATABASE_URL": f"postgresql://u:hush@{HOST}/x"}, "holds a password"),
        ({"DATABASE_AUTH": "iam", "DATABASE_URL": f"postgresql://{HOST}/x"}, "names no user"),
        ({"DATABASE_AUTH": "iam", "DATABASE_URL": f"postgresql://u@{HOST},{HOST}/x"}, "for one host"),
        ({"DATABASE_AUTH": "iam", "DATABASE_URL": f"postgresql://u@{HOST}/x", "DATABASE_TLS": "disable"}, "needs TLS"),
        ({"DATABASE_SECRET_ARN": "arn:aws:s3:::lake"}, "an ARN, but not of a secret"),
        ({"DATABASE_SECRET_ARN": "my secret"}, "not the ARN or name of a secret"),
        ({"DATABASE_AUTH": "kerberos"}, "one of password, iam, secret"),
        ({"DATABASE_POOLER": "session"}, "one of none, transaction"),
    ],
)
def test_contradictions(given: dict[str, str], words: str) -> None:
    """Each is one line that names the variable, the problem and the fix, and no password."""
    (line,) = mistakes(**given)
    assert words in line
    assert line.startswith("SUBSCRIBER_DATABASE_")
    assert "hush" not in line


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("postgresql://u@h/x", 5432),
        ("postgresql://u@h:6000,i:7000/x", 6000),
        ("postgresql://u@[::1]:6000/x", 6000),
        ("postgresql://u@[::1]/x", 5432),
        ("postgresql://u@h/x?port=6000", 6000),
        ("postgresql://u@/x?host=/run/postgresql&port=6000", 6000),
    ],
)
def test_the_port_of_a_url(url: str, port: int) -> None:
    """It is read in every form that a libpq URL allows."""
    assert auth_options(read(DATABASE_URL=url)).port == port
