"""From the body of a settings class to what is declared about each setting, and from that to the printed reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from subscriber.settings.values import PREFIX, Setting


class Declared(msgspec.Struct, frozen=True):
    """One setting as declared: what it takes and means, and what it is when nobody chooses."""

    setting: Setting
    required: bool
    default: Any


class Row(msgspec.Struct, frozen=True):
    """One line of the printed reference."""

    variable: str
    default: str
    unit: str
    takes: str
    meaning: str
    secret: bool


def declared_by(settings: type[msgspec.Struct]) -> Mapping[str, Declared]:
    """What the class body of `settings` declares, by the name of the field, in order."""
    annotations = get_type_hints(settings, include_extras=True)
    defaults = {field.name: field.default for field in msgspec.structs.fields(settings)}
    return {
        name: Declared(
            setting=next(part for part in annotations[name].__metadata__ if isinstance(part, Setting)),
            required=defaults[name] is msgspec.NODEFAULT,
            default=None if defaults[name] is msgspec.NODEFAULT else defaults[name],
        )
        for name in settings.__struct_fields__
    }


def rows_of(declared: Mapping[str, Declared]) -> list[Row]:
    """The reference: one row per setting."""
    return [
        Row(
            variable=PREFIX + name.upper(),
            default="required" if known.required else known.setting.default_shown or str(known.default),
            unit=known.setting.unit,
            takes=known.setting.kind.expects,
            meaning=known.setting.meaning,
            secret=known.setting.secret,
        )
        for name, known in declared.items()
    ]
