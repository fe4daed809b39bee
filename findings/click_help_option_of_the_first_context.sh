#!/usr/bin/env bash
# click 8.5.1 · a command that is used in two contexts with different `help_option_names`
#
# Expected, from click's documentation ("Help Parameter Customization"): the names of the help option come from the context, and
# sub-commands inherit them from their group.
# Seen: a command keeps the help option that it made for the first context it was asked in, for the life of the process. A test
# or a generator of documentation that parses a sub-command without its group changes what the program prints afterwards, and
# takes `-h` from it.
#
# Output seen:
#   within its group first: -h, --help
#   alone first, then within its group: --help
#   -h within its group then: No such option '-h'.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check click==8.5.1 2> "$folder/pip.log" \
  || { cat "$folder/pip.log"; exit 1; }
cat > "$folder/try.py" <<'PY'
import click
from click.testing import CliRunner


def program() -> tuple[click.Group, click.Command]:
    @click.group(context_settings={"help_option_names": ["-h", "--help"]})
    def lake() -> None:
        pass

    @lake.command()
    def show() -> None:
        """Show it."""

    return lake, show


def help_line(lake: click.Group) -> str:
    text = CliRunner().invoke(lake, ["show", "--help"]).output
    return next(line for line in text.splitlines() if "--help" in line).split("  ")[1].strip()


lake, _ = program()
print("within its group first:", first := help_line(lake))
lake, show = program()
show.make_context("show", [])
print("alone first, then within its group:", then := help_line(lake))
refused = CliRunner().invoke(lake, ["show", "-h"])
print("-h within its group then:", refused.output.splitlines()[-1].removeprefix("Error: "))
assert (first, then, refused.exit_code) == ("-h, --help", "--help", 2), "click has changed"
PY
"$folder/venv/bin/python" "$folder/try.py"
