"""The commented style files that ``styledag new`` writes, one template a base."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import yaml

from styledag.errors import StyleFileError
from styledag.style.load import SUFFIX, check_style_name
from styledag.templates import templates
from styledag.training.recipe import MAX_EPOCHS

_FOLDER, _SUFFIX = Path(__file__).parent / "templates", ".yaml.j2"
USUAL_IMAGES = 400
"""Number of images that a template's epochs are for, and for which they stay as they are."""


def _in_list(source: Mapping[str, Any]) -> str:
    """Return the lines of a source as an entry of the list ``sources``."""
    written = yaml.safe_dump([dict(source)], sort_keys=False, allow_unicode=True, width=10_000)
    return indent(str(written), "  ")


def epochs_for(images: int, usual: int, snapshots: int) -> int:
    """Return how many epochs train a style of so many images.

    As many images are seen in all as :data:`USUAL_IMAGES` in the usual number of epochs, whatever
    their number, so the learning rate follows from the base alone.

    Args:
        images: Number of images that the sources have, before curation; at least 1.
        usual: Epochs for :data:`USUAL_IMAGES` of them.
        snapshots: Checkpoints of a run; the number of epochs is a multiple of this.
    """
    rounds = round(usual * USUAL_IMAGES / images / snapshots)
    return snapshots * min(max(rounds, 1), MAX_EPOCHS // snapshots)


def base_names() -> tuple[str, ...]:
    """Return the bases that a style file can be written for, such as ``sd15``, sorted."""
    files = _FOLDER.glob(f"[!_]*{_SUFFIX}")
    return tuple(sorted(file.name.removesuffix(_SUFFIX) for file in files))


def write_new_style(
    name: str,
    folder: Path,
    *,
    base: str,
    source: Mapping[str, Any] | None = None,
    remarks: Sequence[str] = (),
    images: int | None = None,
) -> Path:
    """Write a commented style file with settings that suit a base; return its path.

    Args:
        name: The style's name.
        folder: Folder of the style files; made if it is not there.
        base: One of :func:`base_names`.
        source: Keys of its only source; examples of each kind when left out.
        remarks: Comments on that source.
        images: How many images it has, which decides the number of epochs; ``None`` if unknown.

    Raises:
        StyleFileError: If the name is not a style's name, there is no template for the base, or
            the file is there already.
    """
    text = new_style(name, base, source=source, remarks=remarks, images=images)
    path = folder / f"{name}{SUFFIX}"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as exc:
        raise StyleFileError(f"{path} is there already: choose another name") from exc
    return path


def new_style(
    name: str,
    base: str,
    *,
    source: Mapping[str, Any] | None = None,
    remarks: Sequence[str] = (),
    images: int | None = None,
) -> str:
    """Return the text of a commented style file; see :func:`write_new_style`.

    Raises:
        StyleFileError: If the name is not a style's name, or there is no template for the base.
    """
    check_style_name(name)
    if base not in base_names():
        raise StyleFileError(
            f"no template for base {base!r}: choose that of its family "
            f"({', '.join(base_names())}), and name your model under base in the file"
        )
    # Not escaped, as it is YAML and the name matches STYLE_NAME.
    environment = templates(_FOLDER, autoescape=False, keep_trailing_newline=True)
    return environment.get_template(f"{base}{_SUFFIX}").render(
        name=name,
        source=source and _in_list(source),
        remarks=remarks,
        epochs=partial(epochs_for, images or USUAL_IMAGES),
    )
