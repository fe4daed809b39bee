"""Fill the templates of this folder with the values of one file: `python3 fill.py VALUES FOLDER`.

It needs only Python. Every ${NAME} must have a value, and the result must be JSON. A mistake is reported in one line,
and nothing is written.
"""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path

TEMPLATES = Path(__file__).parent


def values_in(text: str) -> dict[str, str]:
    """The NAME=value lines of a file; the others are blank or comments.

    Raises:
        ValueError: a line is neither, a value is empty, or one has a character that JSON would have to escape.
    """
    values = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = (part.strip() for part in line.partition("="))
        if not line.strip() or line.startswith("#"):
            continue
        if not equals:
            raise ValueError(f"line {number} is not NAME=value")
        if {'"', "'", "\\"} & set(value):
            raise ValueError(f"line {number}: write the value of {name} as it is, without quotes or backslashes")
        values[name] = value
    if empty := [name for name, value in values.items() if not value]:
        raise ValueError(f"write a value for {', '.join(empty)}")
    return values


def filled(template: str, values: dict[str, str]) -> str:
    """A template with every ${NAME} replaced.

    Raises:
        ValueError: a value is missing, or the result is not JSON.
    """
    try:
        text = string.Template(template).substitute(values)
    except KeyError as error:
        raise ValueError(f"no value for {error.args[0]}") from None
    json.loads(text)
    return text


def main(arguments: list[str]) -> int:
    """Write every template of this folder, filled, into another folder."""
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    values_file, folder = Path(arguments[0]), Path(arguments[1])
    try:
        values = values_in(values_file.read_text())
        texts = {path.name: filled(path.read_text(), values) for path in sorted(TEMPLATES.glob("*.json"))}
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{values_file}: {error}\n")
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
        sys.stdout.write(f"{folder / name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
