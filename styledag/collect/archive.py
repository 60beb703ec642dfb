"""Images in archives: zip, tar (compressed too), and WebDataset's shards.

Nothing is unpacked to the disk, so that a member's name, whatever it says, leads nowhere.
"""

import json
import lzma
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from tarfile import HeaderError, ReadError
from typing import IO, Self

from styledag.collect.caption_tables import (
    TABLES,
    caption_in,
    read_table,
    second_caption,
    text_alone,
)
from styledag.collect.harvest import Harvest, rejection
from styledag.collect.records import Origin, RawImage
from styledag.collect.settings import ArchiveSource
from styledag.collect.stored import stored_image
from styledag.collect.written_texts import AlikeNames, decoded_text, text_in_lines
from styledag.errors import FetchError, SourceError
from styledag.manifest import Rejection
from styledag.store.workspace import Workspace

MOST_TEXT_BYTES = 100_000
_TEXTS = (".txt", ".caption", ".json")
_NAMED_IN_UTF_8 = 0x800
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)


@dataclass(frozen=True)
class _Member:
    """A file in an archive; ``open`` is called while the archive stands at it."""

    name: str
    size_bytes: int
    open: Callable[[], IO[bytes] | None]


def collect_archive(source: ArchiveSource, workspace: Workspace, *, project: Path) -> Harvest:
    """Return the images of one archive, or of all that a pattern names.

    A ``.txt``, ``.caption`` or ``.json`` of an image's name, with or without its suffix, holds its
    caption; so does that of a WebDataset's sample, whatever the image is called in it.

    Raises:
        SourceError: If there is no such archive, or one is damaged or holds no image.
    """
    paths = archives_of(source, project)
    images: list[RawImage] = []
    rejected: list[Rejection] = []
    with workspace.progress.task("archives", len(paths)) as advance:
        for path in paths:
            reading = _Reading(source, workspace)
            name = (
                path.relative_to(project).as_posix() if path.is_relative_to(project) else path.name
            )
            try:
                for member in _members(path):
                    reading.take(member)
            except _DAMAGED as exc:
                raise SourceError(
                    f"archive {name} cannot be read to its end: {exc or type(exc).__name__}; "
                    "fetch it again"
                ) from exc
            inside = "" if len(paths) == 1 else f"{name}/"
            images += reading.captioned(inside)
            rejected += [
                replace(each, subject=f"{inside}{each.subject}") for each in reading.rejected
            ]
            advance(1)
    if not images and not rejected:
        raise SourceError(f"no image found: archive {source.path} holds no file")
    return Harvest(tuple(images), tuple(rejected), inside=source.path)


def archives_of(source: ArchiveSource, project: Path) -> list[Path]:
    """Return the archives that a source names.

    Raises:
        SourceError: If there is none.
    """
    whole = project / source.path
    if whole.is_file():
        return [whole]
    anchor = Path(source.path).anchor
    pattern = source.path.removeprefix(anchor)
    found = sorted(path for path in Path(anchor or project).glob(pattern) if path.is_file())
    if not found:
        raise SourceError(
            f"archive {source.path} is not in {project}: correct path in the style file"
        )
    return found


class _Reading:
    """One pass over an archive, whose texts may come before or after their images."""

    def __init__(self, source: ArchiveSource, workspace: Workspace) -> None:
        self.rejected: list[Rejection] = []
        self._source = source
        self._workspace = workspace
        self._images: dict[str, RawImage] = {}
        self._texts: dict[str, dict[str, str]] = {}
        self._named: dict[str, list[str]] = {}
        self._refused: dict[str, list[Rejection]] = {}
        self._listed: dict[str, str] = {}

    def take(self, member: _Member) -> None:
        """Read a member, as a text, as a table of captions, or as an image."""
        path = PurePosixPath(member.name)
        max_bytes = self._source.max_image_bytes
        try:
            if any(part.startswith(".") and part != ".." for part in path.parts):
                raise FetchError("hidden", "a name in its path begins with a dot")
            if path.name in TABLES:
                self._read_table(path, _read(member, max_bytes))
                return
            if path.suffix.lower() in _TEXTS:
                self._take_text(member)
                return
            if member.name in self._images:
                raise FetchError("duplicate_name", "the archive holds an earlier file of this name")
            origin = Origin(
                url=member.name, licence=self._source.licence, author=self._source.author
            )
            self._images[member.name] = stored_image(
                _read(member, max_bytes), origin, self._workspace, max_bytes=max_bytes
            )
        except FetchError as exc:
            self.rejected.append(rejection(member.name, exc))

    def captioned(self, inside: str) -> list[RawImage]:
        """Return the images with their captions, under names inside all the archives.

        Texts of an image that cannot be read, and rows of tables without a file, are rejected.
        """
        named = {key for name in self._images for key in _keys(name)}
        texts = self._by_names_meant(AlikeNames(named))
        images = AlikeNames(self._images)
        found = {images.find(name): text for name, text in reversed(self._listed.items())}
        self.rejected += [
            Rejection(
                subject=name,
                reason="file_missing",
                detail="a table of captions names it, but it is not there",
            )
            for name in self._listed
            if images.find(name) is None
        ]
        return [
            replace(
                image,
                origin=replace(
                    image.origin,
                    url=f"{inside}{name}",
                    caption=_caption(name, texts) or found.get(name, ""),
                ),
            )
            for name, image in self._images.items()
        ]

    def _take_text(self, member: _Member) -> None:
        stem, suffix = _stem(member.name), PurePosixPath(member.name).suffix.lower()
        self._named.setdefault(stem, []).append(member.name)
        try:
            self._texts.setdefault(stem, {})[suffix] = _text(member, suffix)
        except (ValueError, RecursionError) as exc:
            refused = Rejection(subject=member.name, reason="sidecar_refused", detail=str(exc))
            self._refused.setdefault(stem, []).append(refused)

    def _read_table(self, path: PurePosixPath, content: bytes) -> None:
        for row in read_table(path.name, content):
            if isinstance(row, str):
                refused = Rejection(subject=path.as_posix(), reason="metadata_refused", detail=row)
                self.rejected.append(refused)
            else:
                name = (path.parent / row[0]).as_posix()
                if self._listed.setdefault(name, row[1]) != row[1]:
                    self.rejected.append(rejection(name, second_caption(row[1])))

    def _by_names_meant(self, named: AlikeNames) -> dict[str, dict[str, str]]:
        """Return the texts by what they are named after, and reject those that cannot be read."""
        samples = Counter(_sample(name) for name in self._images)

        def target(stem: str) -> str | None:
            found = named.find(stem)
            # In a WebDataset, 0001.input.jpg and 0001.output.txt are one sample.
            return _sample(stem) if found is None and samples[_sample(stem)] == 1 else found

        for stem, names in self._named.items():
            if target(stem) is None:
                self.rejected += [rejection(name, text_alone()) for name in names]
            else:
                self.rejected += self._refused.get(stem, ())
        meant: dict[str, dict[str, str]] = {}
        for stem in sorted(self._texts, key=lambda stem: target(stem) != stem):
            key = target(stem)
            if key is not None:
                meant[key] = {**self._texts[stem], **meant.get(key, {})}
        return meant


def _caption(name: str, texts: Mapping[str, Mapping[str, str]]) -> str:
    for key in _keys(name):
        for suffix in _TEXTS:
            if texts.get(key, {}).get(suffix):
                return texts[key][suffix]
    return ""


def _keys(name: str) -> tuple[str, ...]:
    """Return what the texts of an image may be named after, the likeliest first."""
    return (_stem(name), PurePosixPath(name).as_posix(), _sample(name))


def _sample(name: str) -> str:
    """Return WebDataset's key of a sample, which ends at the first dot."""
    path = PurePosixPath(name)
    return (path.parent / path.name.partition(".")[0]).as_posix()


def _stem(name: str) -> str:
    """Return a path up to its name's last suffix."""
    path = PurePosixPath(name)
    return (path.parent / path.stem).as_posix()


def _text(member: _Member, suffix: str) -> str:
    """Return the caption in a text.

    Raises:
        ValueError: If it is too large, or cannot be read as what its name says.
    """
    content = _read(member, MOST_TEXT_BYTES)
    if len(content) > MOST_TEXT_BYTES:
        raise ValueError(f"it has more than {MOST_TEXT_BYTES} bytes")
    text = decoded_text(content)
    return text_in_lines(caption_in(json.loads(text)) if suffix == ".json" else text)


def _read(member: _Member, max_bytes: int) -> bytes:
    """Return a member's bytes, at most one more than allowed, however it is compressed."""
    try:
        file = member.open()
        if file is None:
            raise FetchError("link_refused", "not a file, but a link or a device")
        with file:
            body = file.read(max_bytes + 1)
        if len(body) < min(member.size_bytes, max_bytes + 1):
            # Only a tar's: a zip's own reader finds it.
            raise ReadError(f"{member.name} breaks off")
        return body
    except (RuntimeError, NotImplementedError) as exc:
        # Encrypted, or compressed in a way that is not known here.
        raise FetchError("unreadable", str(exc)) from exc
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise FetchError("damaged", str(exc) or "the member breaks off") from exc


def _members(path: Path) -> Iterator[_Member]:
    if not _is_tar(path) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            for entry in packed.infolist():
                name = _printable(_zip_name(entry))
                if not name.endswith("/"):
                    yield _Member(name, entry.file_size, partial(packed.open, entry))
        return
    # As a stream: a compressed archive cannot be read in any other order.
    with _opened_tar(path) as tape:
        for each in tape:
            if not each.isdir():
                size = each.size if each.isreg() else 0
                yield _Member(_printable(each.name), size, partial(_regular, tape, each))


def _opened_tar(path: Path) -> tarfile.TarFile:
    try:
        return _Tape.open(path, "r|*")
    except ReadError as exc:
        raise ReadError(
            f"its beginning is that of no zip and no tar, plain or in gzip, bzip2 or xz ({exc})"
        ) from exc


def _is_tar(path: Path) -> bool:
    """Return whether a file begins as a plain tar, whose last member may be a zip."""
    with path.open("rb") as file:
        return file.read(tarfile.BLOCKSIZE)[257:262] == b"ustar"


class _Entry(tarfile.TarInfo):
    """A header that knows a cut or damaged archive, which ``tarfile`` takes for a short one."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            entry = super().fromtarfile(tarfile)
        except HeaderError as exc:
            is_end = type(exc).__name__ == "EOFHeaderError"
            if isinstance(tarfile, _Tape):
                if not is_end and not tarfile.has_ended:
                    raise ReadError(
                        f"at byte {tarfile.offset} there is neither a member nor an archive's "
                        f"end: {exc}"
                    ) from exc
                tarfile.has_ended = True
            raise
        if isinstance(tarfile, _Tape):
            tarfile.has_ended = False
        return entry


class _Tape(tarfile.TarFile):
    """A tar that is read behind its end too, where another one may have been joined to it.

    Attributes:
        has_ended: Whether nothing but zeros, and what is no archive, came after the last member.
    """

    tarinfo = _Entry
    ignore_zeros = True
    has_ended = False


def _regular(tape: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    return tape.extractfile(member) if member.isreg() else None


def _zip_name(entry: zipfile.ZipInfo) -> str:
    r"""Return a member's name: UTF-8 without the flag that says so, or ``\`` in place of ``/``.

    macOS and others write the first, and older programs for Windows the second.
    """
    name = entry.filename
    if not entry.flag_bits & _NAMED_IN_UTF_8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode()
    return name.replace("\\", "/")


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
