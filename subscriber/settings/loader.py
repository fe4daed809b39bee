"""Reads settings from an environment and collects every mistake before raising.

It knows how settings are declared, not which ones exist. A mistake is one line: the variable, the problem with its
value, and what it takes. The value is repeated unless it is secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from subscriber.errors import ConfigurationError
from subscriber.settings.constraints import CONSTRAINTS, auth_mistakes
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.parsers import PREFIX, Declared

_TEST_PREFIX = f"{PREFIX}TEST_"
"""Prefix of the test suite's variables, which may share the environment."""


def read_settings(
    environment: Mapping[str, str], declared: Mapping[str, Declared], only: Collection[str] | None = None
) -> dict[str, Any]:
    """Values by name, defaults included, or one ConfigurationError with a line for each mistake.

    With `only`, the other settings are neither read nor checked; a misspelled variable is a mistake all the same.

    Variables without our prefix are ignored. An empty value counts as unset, because compose files pass optional
    variables that way.
    """
    ours = {name: value.strip() for name, value in environment.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in ours.items() if value}
    variables = {PREFIX + name.upper(): name for name in declared}
    unknown = (name for name in sorted(ours) if name not in variables and not name.startswith(_TEST_PREFIX))
    mistakes = [_unknown(name, variables) for name in unknown]
    values: dict[str, Any] = {}
    for variable, name in variables.items():
        if only is not None and name not in only:
            continue
        try:
            values[name] = _value(variable, declared[name], given.get(variable))
        except ValueError as mistake:
            mistakes.append(str(mistake))
    if "database_url" in values:
        tls_given = PREFIX + "DATABASE_TLS" in given
        url = DatabaseUrl.parse(values["database_url"])
        mistakes += _settle_tls(values, url, tls_given=tls_given)
        mistakes += auth_mistakes(values, url)
    mistakes += _broken_constraints(values, declared)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    return values


def _unknown(variable: str, variables: Mapping[str, str]) -> str:
    nearest = difflib.get_close_matches(variable, variables, n=1, cutoff=0)
    return f"{variable} is not a setting; the nearest one is {nearest[0]}"


def _value(variable: str, declared: Declared, text: str | None) -> object:
    if text is None:
        if declared.required:
            raise ValueError(f"{variable} is required; it takes {declared.setting.kind.expects}")
        return declared.default
    try:
        return declared.setting.kind.read(text)
    except ValueError as problem:
        shown = "" if declared.setting.secret else f" is {text!r}"
        raise ValueError(f"{variable}{shown}: {problem}; it takes {declared.setting.kind.expects}") from None


def _settle_tls(values: dict[str, Any], url: DatabaseUrl, *, tls_given: bool) -> Iterator[str]:
    """Choose DATABASE_TLS if it is unset, and report a URL that contradicts it."""
    if not tls_given and url.is_local and "database_tls" in values:
        values["database_tls"] = "disable"
    if any(parameter != ("sslmode", values.get("database_tls")) for parameter in url.tls_parameters):
        names = ", ".join(name for name, _ in url.tls_parameters)
        yield (
            f"{PREFIX}DATABASE_URL must not configure TLS ({names}): it would be ignored; remove it, and set "
            f"{PREFIX}DATABASE_TLS (now {values.get('database_tls', 'unreadable')}) and {PREFIX}DATABASE_CA_FILE"
        )


def _broken_constraints(values: Mapping[str, Any], declared: Mapping[str, Declared]) -> list[str]:
    counted = {name: len(value) if isinstance(value, tuple) else value for name, value in values.items()}
    numbers = {name: value for name, value in counted.items() if isinstance(value, int | float)}
    largest = {name: most for name, known in declared.items() if (most := known.setting.kind.most) is not None}
    return [sentence for each in CONSTRAINTS if (sentence := each.broken_by(numbers, largest))]
