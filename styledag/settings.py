"""Settings as plain frozen dataclasses: one place for a default, its bounds and its help.

A field's metadata uses pydantic's words (``ge``, ``gt``, ``le``, ``lt``, ``min_length``,
``max_length``, ``pattern``, ``description``), so the style file's model checks and documents it,
while :class:`StrictSettings` checks the same bounds where only the standard library is at hand.
"""

import hashlib
import json
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, field, fields, is_dataclass
from typing import Any, ClassVar

_BOUNDS: Mapping[str, tuple[Callable[[Any, Any], bool], str]] = {
    "ge": (operator.ge, "at least"),
    "gt": (operator.gt, "above"),
    "le": (operator.le, "at most"),
    "lt": (operator.lt, "below"),
}


def setting(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - the field's own word, as in argparse and click
    default_factory: Any = MISSING,
    identity: bool = True,
    **bounds: Any,
) -> Any:
    """Return a dataclass field with a default, bounds and help for the reader of a style file.

    Args:
        default: Value when the style file is silent; required when missing.
        help: One sentence for the style file's author, with the unit.
        default_factory: Makes the default where it is mutable or another settings class.
        identity: Whether the value decides the content of what is made. A path or a politeness
            delay does not, and is left out of :func:`settings_identity`.
        **bounds: pydantic's constraints, such as ``ge=0``.
    """
    metadata = {"description": help, "identity": identity, **bounds}
    if default_factory is not MISSING:
        # Equal settings have equal hashes without their mappings too, which have none.
        hashed = False if default_factory is dict else None
        return field(default_factory=default_factory, metadata=metadata, hash=hashed)
    return field(default=default, metadata=metadata)


class StrictSettings:
    """Base of dataclasses of settings: pydantic refuses unknown keys and wrong types in them."""

    __pydantic_config__: ClassVar = {"extra": "forbid", "strict": True}

    def __post_init__(self) -> None:
        """Check the bounds.

        Raises:
            ValueError: If a value lies outside its bounds; the message names class, field, bound.
        """
        for each in fields(self):  # type: ignore[arg-type]  # that a subclass is a dataclass
            value = getattr(self, each.name)
            if value is None:
                continue
            where = f"{type(self).__name__}.{each.name}"
            for bound, (holds, words) in _BOUNDS.items():
                limit = each.metadata.get(bound)
                if limit is not None and not holds(value, limit):
                    raise ValueError(f"{where} is {value!r}, but must be {words} {limit!r}")
            pattern = each.metadata.get("pattern")
            if pattern is not None and not re.search(pattern, value):
                raise ValueError(f"{where} is {value!r}, but must match {pattern}")


def settings_identity(settings: Any) -> dict[str, Any]:
    """Return the JSON form of what in ``settings`` decides content, for a cache key."""
    identity: dict[str, Any] = {}
    for each in fields(settings):
        if each.metadata.get("identity", True):
            identity[each.name] = _plain(getattr(settings, each.name))
    return identity


def canonical_json(value: Any) -> str:
    """Return ``value`` as JSON with one spelling: sorted keys, no spaces, no NaN."""
    return _ENCODER.encode(value)


def json_digest(value: Any) -> str:
    """Return the sha256 of :func:`canonical_json`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, default=asdict)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return settings_identity(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
