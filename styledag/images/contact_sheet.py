"""The contact sheet: a page and an image of what curation kept, capped and left out."""

import base64
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from markupsafe import escape
from PIL import Image, ImageDraw

from styledag.collect.records import Origin
from styledag.images.encode import encode_jpeg
from styledag.images.records import CuratedImage, JpegImage
from styledag.images.thumbnails import thumbnail
from styledag.manifest import Manifest
from styledag.store.workspace import Workspace
from styledag.templates import templates

SHEET_FILE = "contact_sheet.html"
STRIP_FILE = "families.jpg"

_MOST_BYTES = 2_700_000
_BYTES_OF_MARKUP = 250
_LEGEND = "Green: kept. Red and dashed: left out. The first of a family is its centre."
_SHOWN_BY_CAP = "family_cap"

STRIP_BYTES = 60_000

_CELL_PX, _LABEL_PX = 48, 28
_ROWS, _COLUMNS = 8, 12
_QUALITIES = (85, 75, 60, 45, 30, 15)
_INK, _PAPER = (70, 70, 70), (255, 255, 255)


@dataclass(frozen=True)
class SheetFamily:
    """A family as curation found it.

    Attributes:
        members: The medoid, then from the most to the least like it.
        kept: How many of the first of them are kept.
    """

    members: tuple[JpegImage, ...]
    kept: int


@dataclass(frozen=True)
class ShownImage:
    """One image on the page; the template escapes its words.

    Attributes:
        name: Its title, or else its address or file name.
        url: Address of the image.
        detail: Why it was left out, or how many copies it stands for.
        thumbnail: base64 of a small JPEG.
    """

    name: str
    url: str
    detail: str
    kept: bool
    thumbnail: str

    @property
    def link(self) -> str:
        """The address if a browser may follow it, else empty."""
        return self.url if self.url.startswith(("http://", "https://")) else ""


@dataclass
class Section:
    """Images under one heading, and how many more there are than the page has room for."""

    heading: str
    images: list[ShownImage] = field(default_factory=list)
    not_shown: int = 0


def shown_name(origin: Origin) -> str:
    """Return an image's title, or else its address; of a path in a folder, the file's name."""
    is_path = "://" not in origin.url
    return origin.title or (is_path and PurePosixPath(origin.url).name) or origin.url


def write_contact_sheet(
    manifest: Manifest[CuratedImage],
    families: Sequence[SheetFamily],
    jpegs: Manifest[JpegImage],
    workspace: Workspace,
) -> None:
    """Write ``contact_sheet.html`` and ``families.jpg`` into the workspace's folder.

    The page holds everything it needs and stays below 3 MB: what finds no room is counted on it.
    Families come first, the largest on top, then what was left out, by
    reason, then the images that are like no other.
    """
    families = sorted(families, key=lambda family: (-len(family.members), family.members[0].sha256))
    sections = list(_Page(workspace).sections(manifest, families, jpegs))
    several = sum(1 for family in families if len(family.members) > 1)
    page = sheet_page({**manifest.facts, "families of two and more": several}, sections, _LEGEND)
    (workspace.folder / SHEET_FILE).write_text(page, encoding="utf-8")
    (workspace.folder / STRIP_FILE).write_bytes(
        family_strip([[image.sha256 for image in family.members] for family in families], workspace)
    )


def sheet_page(facts: Mapping[str, int], sections: Sequence[Section], legend: str) -> str:
    """Return a page of images that needs no other file.

    Args:
        facts: Counts to show, ``found`` and ``kept`` among them.
        sections: The images; empty sections are left out.
        legend: A sentence on how to read it.
    """
    template = templates(Path(__file__).parent).get_template("contact_sheet.html.j2")
    return template.render(
        facts=facts,
        legend=legend,
        not_shown=sum(section.not_shown for section in sections),
        sections=[section for section in sections if section.images],
    )


class _Page:
    """Fills sections until the page is full."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._bytes_left = _MOST_BYTES

    def sections(
        self,
        manifest: Manifest[CuratedImage],
        families: Sequence[SheetFamily],
        jpegs: Manifest[JpegImage],
    ) -> Iterator[Section]:
        counts = map(len, manifest.column("copies"))
        copies = dict(zip(manifest.column("sha256"), counts, strict=True))
        for family in families:
            if len(family.members) > 1:
                yield self._section(_heading(family), self._members(family, copies))
        by_url = {image.origin.url: image for image in jpegs.rows}
        by_reason = defaultdict(list)
        for rejection in manifest.rejected:
            if rejection.reason != _SHOWN_BY_CAP:
                by_reason[rejection.reason].append((by_url[rejection.subject], rejection.detail))
        for reason, left_out in sorted(by_reason.items()):
            rows = ((image, detail, False) for image, detail in left_out)
            yield self._section(f"Left out, {reason}: {len(left_out)}", rows)
        alone = [family for family in families if len(family.members) == 1]
        members = (each for family in alone for each in self._members(family, copies))
        yield self._section(f"On their own: {len(alone)}", members)

    def _members(
        self, family: SheetFamily, copies: Mapping[str, int]
    ) -> Iterator[tuple[JpegImage, str, bool]]:
        for place, image in enumerate(family.members):
            count = copies.get(image.sha256, 0)
            yield image, f"stands for {count} copies" if count else "", place < family.kept

    def _section(self, heading: str, rows: Iterator[tuple[JpegImage, str, bool]]) -> Section:
        section = Section(heading)
        for image, detail, kept in rows:
            shown = self._shown(image, detail, kept=kept) if self._bytes_left > 0 else None
            if shown is None:
                section.not_shown += 1
            else:
                section.images.append(shown)
        return section

    def _shown(self, image: JpegImage, detail: str, *, kept: bool) -> ShownImage | None:
        """Return the image, or ``None`` and a full page if it finds no room."""
        encoded = base64.b64encode(thumbnail(image.sha256, self._workspace)).decode()
        url = image.origin.url
        shown = ShownImage(shown_name(image.origin), url, detail, kept, encoded)
        words = str(escape(2 * shown.name + 2 * url + detail)).encode()  # as often as they stand
        needed = len(encoded) + len(words) + _BYTES_OF_MARKUP
        if needed > self._bytes_left:
            self._bytes_left = 0
            return None
        self._bytes_left -= needed
        return shown


def _heading(family: SheetFamily) -> str:
    centre = family.members[0].origin
    capped = len(family.members) - family.kept
    words = f"Family of {len(family.members)} around {centre.title or centre.url}"
    return f"{words}: {family.kept} kept, {capped} capped" if capped else words


def family_strip(families: Sequence[Sequence[str]], workspace: Workspace) -> bytes:
    """Return a JPEG of at most 60 KB: one row a family, its size and its first members.

    Args:
        families: JPEG blobs' sha256s, family by family, the largest first.
        workspace: Where thumbnails are kept.
    """
    rows = families[:_ROWS]
    columns = min(_COLUMNS, max(len(row) for row in rows))
    sheet = Image.new("RGB", (_LABEL_PX + columns * _CELL_PX, len(rows) * _CELL_PX), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for row, members in enumerate(rows):
        top = row * _CELL_PX
        draw.text((4, top + _CELL_PX // 2), str(len(members)), fill=_INK, anchor="lm")
        for column, sha256 in enumerate(members[:columns]):
            with Image.open(io.BytesIO(thumbnail(sha256, workspace))) as small:
                cell = small.resize((_CELL_PX - 2, _CELL_PX - 2), Image.Resampling.LANCZOS)
            sheet.paste(cell, (_LABEL_PX + column * _CELL_PX + 1, top + 1))
    encoded = (encode_jpeg(sheet, quality=quality) for quality in _QUALITIES)
    return next(content for content in encoded if len(content) <= STRIP_BYTES)
