"""The JSON files beside a model's weights."""

import json
from pathlib import Path
from typing import Any

from styledag.errors import ModelError


def read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of a model or of a part of one.

    Raises:
        ModelError: If the file is missing, or no JSON object.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ModelError(
            f"{path} cannot be read ({exc}): restore it, or name a model in diffusers' layout"
        ) from exc
    if not isinstance(config, dict):
        raise ModelError(
            f"{path} is no JSON object, but {type(config).__name__}: restore it, or name a model "
            "in diffusers' layout"
        )
    return config
