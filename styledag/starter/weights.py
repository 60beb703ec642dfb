"""How the starter's weights are stored: in half the bytes, and read back as float32."""

import json
from pathlib import Path
from typing import Any


def save_half(model: Any, folder: Path) -> None:
    """Write a transformers model's folder with float16 weights; the model becomes float16 too."""
    model.half().save_pretrained(folder)
    name_float32(folder / "config.json")


def name_float32(path: Path) -> None:
    """Let a transformers model compute in float32 however its weights are stored.

    Plain ``from_pretrained`` takes the type that ``config.json`` names, and a CPU is far slower in
    float16. diffusers takes float32 by itself.

    Args:
        path: The model's ``config.json``, which is written anew.
    """
    config = json.loads(path.read_text(encoding="utf-8"))
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        if "dtype" in part:
            part["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
