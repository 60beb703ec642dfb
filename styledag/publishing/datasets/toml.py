"""TOML of flat tables, which the standard library reads but does not write."""

import json
from collections.abc import Mapping, Sequence

Value = str | int | float | bool


def toml_lines(values: Mapping[str, Value], *, indent: str = "") -> Sequence[str]:
    """Return ``key = value`` lines (https://toml.io/en/v1.0.0)."""
    return [f"{indent}{key} = {_value(value)}" for key, value in values.items()]


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the control character that JSON permits.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
