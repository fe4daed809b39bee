"""Reads settings from an environment and collects every mistake before raising.

It knows how settings are declared, not which ones exist. A mistake is one line: the variable, the problem with its
value, and what it takes. The value is repeated unless it is secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from subscriber.errors import ConfigurationError
from subscriber.settings.constraints import CONSTRAINTS, auth_mistakes, schedule_mistakes
from subscriber.settings.database_url import DatabaseUrl
from subscriber.settings.kubernetes import service_variables
from subscriber.settings.parsers import PREFIX, Declared

_TEST_PREFIX = f"{PREFIX}TEST_"
"""Prefix of the test suite's variables, which may share the environment."""


def read_settings(
    environment: Mapping[str, str],
    declared: Mapping[str, Declared],
    only: Collection[str] | None = None,
    unset: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Values by name, defaults included, or one ConfigurationError with a line for each mistake.

    Variables without our prefix are ignored, and so are those that Kubernetes sets for a Service named after us. An
    empty value counts as unset, because compose files pass optional variables that way.

    Args:
        environment: The variables of the process.
        declared: All settings, by name.
        only: Names of the settings to read and check, if not all; a misspelled variable is a mistake all the same.
        unset: Values of required settings that the command can do without, for where they are unset.
    """
    ours = {name: value.strip() for name, value in environment.items() if name.startswith(PREFIX)}
    given = {name: value for name, value in ours.items() if value}
    variables = {PREFIX + name.upper(): name for name in declared}
    services = service_variables(ours)
    foreign = variables.keys() | services.keys()
    unknown = (name for name in sorted(ours) if name not in foreign and not name.startswith(_TEST_PREFIX))
    mistakes = [_unknown(name, variables) for name in unknown]
    values: dict[str, Any] = {}
    for variable, name in variables.items():
        if only is not None and name not in only:
            continue
        try:
            text = given.get(variable)
            use_fallback = text is None and name in unset
            values[name] = unset[name] if use_fallback else _value(variable, declared[name], text)
        except ValueError as mistake:
            mistakes.append(str(mistake) + _service_hint(services.get(variable)))
    if "database_url" in values:
        tls_given = PREFIX + "DATABASE_TLS" in given
        url = DatabaseUrl.parse(values["database_url"])
        mistakes += _decide_tls(values, url, tls_given=tls_given)
        mistakes += auth_mistakes(values, url)
    mistakes += schedule_mistakes(values)
    mistakes += _broken_constraints(values, declared)
    if mistakes:
        raise ConfigurationError("\n".join(mistakes))
    return values


def _unknown(variable: str, variables: Mapping[str, str]) -> str:
    """Says which setting is similar; the prefix, which all share, does not count."""
    known = [each.removeprefix(PREFIX) for each in variables]
    nearest = difflib.get_close_matches(variable.removeprefix(PREFIX), known, n=1)
    advice = f"the nearest one is {PREFIX}{nearest[0]}" if nearest else "`subscriber settings` lists them"
    return f"{variable} is not a setting; {advice}"


def _service_hint(service: str | None) -> str:
    """The remedy where Kubernetes has set a variable of ours."""
    if service is None:
        return ""
    return f"; Kubernetes sets it for the Service {service}: rename that, or set enableServiceLinks: false in the pod"


def _value(variable: str, declared: Declared, text: str | None) -> object:
    if text is None:
        if declared.required:
            raise ValueError(f"{variable} is required; it takes {declared.setting.kind.expects}")
        return declared.default
    try:
        return declared.setting.kind.read(text)
    except ValueError as problem:
        shown = "" if declared.setting.is_secret else f" is {text!r}"
        raise ValueError(f"{variable}{shown}: {problem}; it takes {declared.setting.kind.expects}") from None


def _decide_tls(values: dict[str, Any], url: DatabaseUrl, *, tls_given: bool) -> Iterator[str]:
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
