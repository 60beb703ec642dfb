"""Further demo styles: icon sets that npm packages contain, as images with captions on the disk."""

import base64
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from styledag.errors import DataError, SourceError, StyledagError

FOLDER = Path("data") / "demo"
SIDE_PX = 128
_TIMEOUT_S = 60.0
ICONS = "package/icons.json"
"""The icons of a package of Iconify's, by name."""
_CATEGORIES = "package/metadata.json"


@dataclass(frozen=True, kw_only=True)
class IconSet:
    """One version of a package of Iconify's, and which of its icons teach a style.

    Attributes:
        package: Its name on the npm registry.
        integrity: Checksum of its archive, as npm states it: sha512, in base 64.
        categories: Only icons of these categories; empty where the set has none.
        without: Subjects that the style's prompts ask for, which are therefore not taught.
    """

    package: str
    version: str
    integrity: str
    categories: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()

    @property
    def archive(self) -> str:
        """The archive's file name on the registry."""
        return f"{self.package.rpartition('/')[2]}-{self.version}.tgz"


SETS: Mapping[str, IconSet] = {
    "openmoji": IconSet(
        package="@iconify-json/openmoji",
        version="1.2.29",
        integrity="vXdhkqcXVSO6suy+m9LbcUM3OdVyuNOtpV8/als/"
        "WqfkQIRxevL5Geb/g+6GH/Qwnq1OqksEmaDGTCmZ5nFKJQ==",
        categories=("Animals Nature", "Food Drink"),
    ),
    "game-icons": IconSet(
        package="@iconify-json/game-icons",
        version="1.2.4",
        integrity="/HDDZxowXgDJcOEwPspUCq5RuDdl25OyZKdtxqqiPJQNTrWIym7r4StLzIVs"
        "77DyNzOWWhH5wDqwYR3WHeDfkg==",
        without=frozenset(
            {"airplane", "bridge", "castle", "guitar", "house", "key", "lighthouse", "phone"}
            | {"umbrella", "violin"}
        ),
    ),
}
"""Sets by the name of the style that they teach; their licences stand in the styles' files."""


def icon_images(style: str, project: Path) -> Path:
    """Return the folder of a set's images, made at first use: PNG files and a table of captions.

    The archive is fetched once from the npm registry that npm is configured with.

    Raises:
        SourceError: If the registry cannot be reached, or has not the archive.
        DataError: If the archive is another one than the checksum is of.
        StyledagError: If resvg-py, which draws the icons, is not installed.
    """
    chosen = SETS[style]
    images = project / FOLDER / f"{style}-{chosen.version}"
    if images.is_dir():
        return images
    with _archive(chosen, images.parent) as archive:
        icons = list(_icons(chosen, archive))
    making = Path(tempfile.mkdtemp(prefix=f".{style}-", dir=images.parent))
    try:
        with (making / "metadata.jsonl").open("w", encoding="utf-8") as table:
            for name, svg in icons:
                file = f"{name}.png"
                (making / file).write_bytes(drawn(svg))
                table.write(json.dumps({"file_name": file, "text": name.replace("-", " ")}) + "\n")
        making.chmod(0o755)
        making.rename(images)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return images


def registry_address() -> str:
    """Return the address of the npm registry that npm is configured with; empty without npm."""
    # npm reads its variables in lower and in upper case.
    variables = {name.lower(): value for name, value in os.environ.items()}
    named = variables.get("npm_config_registry")
    npm = None if named else shutil.which("npm")
    if npm is not None:
        asked = subprocess.run(
            [npm, "config", "get", "registry"], capture_output=True, text=True, check=False
        )
        named = asked.stdout.strip()
    return named.rstrip("/") if named and "://" in named else ""


def _archive(chosen: IconSet, folder: Path) -> tarfile.TarFile:
    """Return a set's archive, fetched unless it is there, after a look at its checksum."""
    path = folder / chosen.archive
    url = f"{registry_address()}/{chosen.package}/-/{chosen.archive}"
    content = path.read_bytes() if path.is_file() else _fetched(url, chosen, path)
    found = base64.b64encode(hashlib.sha512(content).digest()).decode()
    if found != chosen.integrity:
        raise DataError(
            f"{path if path.is_file() else url} has the sha512 {found}, but npm states "
            f"{chosen.integrity} of {chosen.package} {chosen.version}: it is another file; remove "
            "it, or name another registry in npm_config_registry"
        )
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_bytes(content)
        new.replace(path)
    return tarfile.open(fileobj=io.BytesIO(content))


def _fetched(url: str, chosen: IconSet, path: Path) -> bytes:
    try:
        answer = requests.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
    except requests.RequestException as exc:
        raise SourceError(
            f"{chosen.package} cannot be fetched from {url}: {exc}; install npm, or name a "
            "registry that can be reached in npm_config_registry, or put what "
            f"`npm pack {chosen.package}@{chosen.version}` gives at {path}"
        ) from exc
    return answer.content


def _icons(chosen: IconSet, archive: tarfile.TarFile) -> Iterator[tuple[str, str]]:
    """Yield name and SVG of each icon that is taught, by name.

    Of a set without categories they are those that one word names, which is what is drawn; the
    others vary and combine those.
    """
    table = read_json(archive, ICONS)
    if chosen.categories:
        by_category = read_json(archive, _CATEGORIES)["categories"]
        names = {name for each in chosen.categories for name in by_category[each]}
    else:
        names = {name for name in table["icons"] if re.fullmatch("[a-z]+", name)}
    for name in sorted((names & table["icons"].keys()) - chosen.without):
        yield name, icon_svg(table, name)


def read_json(archive: tarfile.TarFile, name: str) -> dict[str, Any]:
    """Return the content of a JSON file in an archive; empty if it is no file."""
    content: dict[str, Any] = json.load(archive.extractfile(name) or io.BytesIO(b"{}"))
    return content


def icon_svg(table: Mapping[str, Any], name: str) -> str:
    """Return an icon of a package of Iconify's as SVG."""
    icon = table["icons"][name]
    width, height = (icon.get(side, table.get(side, 16)) for side in ("width", "height"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
        f"{icon['body']}</svg>"
    )


def drawn(svg: str) -> bytes:
    """Return an SVG as PNG, :data:`SIDE_PX` wide and high.

    Raises:
        StyledagError: If resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError as exc:
        raise StyledagError(
            "drawing icons needs the package resvg-py: install styledag[demo]"
        ) from exc
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, width=SIDE_PX, height=SIDE_PX))
