"""The commented style file that ``styledag new`` writes."""

import re
from importlib import resources
from pathlib import Path

from styledag.errors import StyleFileError
from styledag.style.load import SUFFIX
from styledag.style.model import STYLE_NAME


def write_new_style(name: str, folder: Path) -> Path:
    """Write a commented style file for Stable Diffusion 1.5 and BLIP-large; return its path.

    Raises:
        StyleFileError: If the name is no style's name, or the file is there already.
    """
    if not re.search(STYLE_NAME, name):
        raise StyleFileError(f"{name!r} is no style's name: it must match {STYLE_NAME}")
    path = folder / f"{name}{SUFFIX}"
    template = resources.files("styledag.style") / "new_style.yaml.j2"
    text = template.read_text(encoding="utf-8").replace("{{ name }}", name)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise StyleFileError(f"{path} is there already: choose another name") from exc
    return path
