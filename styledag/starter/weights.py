"""How the starter's weights are stored: in half the bytes, and read back as float32."""

import json
from pathlib import Path
from typing import Any


def save_half(model: Any, folder: Path) -> None:
    """Write a model's folder with float16 weights; the model itself becomes float16.

    The configuration names float32, so that plain ``from_pretrained`` computes in float32, which
    a CPU does far better than float16.

    Args:
        model: A transformers or diffusers model.
        folder: Where its ``config.json`` and safetensors go.
    """
    model.half().save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if "dtype" in config:
        _name_float32(config)
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _name_float32(config: dict[str, Any]) -> None:
    config["dtype"] = "float32"
    for value in config.values():
        if isinstance(value, dict) and "dtype" in value:
            _name_float32(value)
