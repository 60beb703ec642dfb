"""Give each image its caption: a captioner is asked once, and rules cost nothing to change."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from styledag.bases.base import Tokens
from styledag.batched import batched
from styledag.captions.agreement import Agreement, compare, write_agreement
from styledag.captions.captioner import Captioner
from styledag.captions.cleaning.file_names import file_name
from styledag.captions.cleaning.rules import (
    RULES_VERSION,
    Cleaned,
    clean_caption,
    clean_file_name,
    clean_text,
    clean_title,
)
from styledag.captions.length import fill_within
from styledag.captions.overrides import Overrides, read_overrides
from styledag.captions.records import CaptionedImage
from styledag.captions.settings import CaptionSettings
from styledag.captions.template import CAPTION, named_fields
from styledag.captions.thinking import is_thought
from styledag.collector import many_objects
from styledag.errors import ModelError
from styledag.images.records import CuratedImage
from styledag.images.stored_jpeg import read_jpeg
from styledag.manifest import Manifest, Rejection, rows_of
from styledag.remembered_rows import remembered_rows
from styledag.settings import canonical_json
from styledag.store.files import storage_errors
from styledag.store.items import item_key
from styledag.store.workspace import Workspace

CODE_VERSION = "4"
ITEMS = "captions"
_CAPTIONER, _OVERRIDE, _FILE_NAME = "captioner", "override", "file_name"
_WRITTEN_IN_LINES = ("override", "caption")
_SEVERAL = 2
_LINE_END = re.compile(r"[\r\n]+")
_CLEANED_BY: Mapping[str, Callable[[str], Cleaned]] = {
    _CAPTIONER: clean_caption,
    _FILE_NAME: clean_file_name,
    "alt": clean_title,
    "title": clean_title,
}


@dataclass(frozen=True)
class _Words:
    """What one source has on an image; its cleaned text is not empty."""

    source: str
    raw: str
    cleaned: Cleaned


@many_objects()
def caption_images(
    curated: Manifest[CuratedImage],
    settings: CaptionSettings,
    workspace: Workspace,
    *,
    captioner: Captioner | None,
    tokens: Tokens,
    overrides: Path | None = None,
    made_by: str | None = None,
) -> Manifest[CaptionedImage]:
    """Write and return every image with its caption, and those for which no source has words.

    The first of the settings' sources that has words counts. The captioner is asked where none
    before it has any, or everywhere if the settings compare it with the others, once per image,
    captioner and way of decoding; cleaning, template and length cost nothing to do again.

    Args:
        curated: The images; their JPEGs are blobs of the workspace.
        settings: Where words come from, and what becomes of them.
        workspace: Where the manifest goes; counts asked captions under ``captions``.
        captioner: Asked where the settings' sources name it.
        tokens: Counts tokens as the base's text encoder will.
        overrides: CSV of a person's captions.
        made_by: All that decides a caption beside its image. If it is given, those of images that
            have not changed since the last build are not made again.

    Raises:
        StyleFileError: If the CSV is wrong, or the template leaves no room for a caption.
        ModelError: If the captioner or the tokenizer cannot be loaded.
    """
    read = Overrides({}) if overrides is None else read_overrides(overrides)
    by_hand = read.by_sha256(curated.rows) if read.captions else {}
    raw_captions: dict[str, str] = {}
    table = curated.table

    def make(new: Sequence[int]) -> list[CaptionedImage | Rejection]:
        images = rows_of(table.take(pa.array(new, pa.int64())), CuratedImage)
        before, after = _around_captioner(settings.sources)
        found = {image.sha256: _first_words(image, before, by_hand, settings) for image in images}
        identity = ""
        if captioner is not None and _CAPTIONER in settings.sources:
            to_ask = [each for each in images if settings.compare or found[each.sha256] is None]
            raw_captions.update(_ask(to_ask, settings, workspace, captioner))
            identity = canonical_json([captioner.version, captioner.identity(settings)])
        made: list[CaptionedImage | Rejection] = []
        for image in images:
            raw = raw_captions.get(image.sha256, "")
            words = (
                found[image.sha256]
                or _cleaned(_CAPTIONER, raw, settings)
                or _first_words(image, after, by_hand, settings, fallback=bool(raw))
            )
            if words is None:
                made.append(_empty(image, raw, settings.sources))
            else:
                asked = identity if words.source == _CAPTIONER else ""
                made.append(_captioned(image, words, settings, tokens, captioner=asked))
        return made

    # A comparison needs what the captioner says of every image, and an override may name several.
    is_kept = made_by is not None and not settings.compare and overrides is None
    manifest = remembered_rows(
        table,
        CaptionedImage,
        make,
        key="image.sha256",
        made_by=made_by or "",
        file=workspace.kept / "rows.arrow" if workspace.kept and is_kept else None,
    )
    with storage_errors(str(workspace.folder)):
        manifest.write(workspace.folder)
        if settings.compare:
            write_agreement(_agreement(manifest.rows, raw_captions), workspace.folder)
    return manifest


def _agreement(rows: Sequence[CaptionedImage], raw_captions: Mapping[str, str]) -> Agreement:
    """Return how often the captioner agrees with the words that were used in its place."""
    said = {row.key: clean_caption(raw_captions.get(row.key, "")).text for row in rows}
    return compare(
        (said[row.key], row.cleaned_caption)
        for row in rows
        if row.source != _CAPTIONER and said[row.key]
    )


def _around_captioner(sources: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the sources before the captioner, and those after it."""
    if _CAPTIONER not in sources:
        return sources, ()
    at = sources.index(_CAPTIONER)
    return sources[:at], sources[at + 1 :]


def _first_words(
    image: CuratedImage,
    sources: Sequence[str],
    by_hand: Mapping[str, str],
    settings: CaptionSettings,
    *,
    fallback: bool = False,
) -> _Words | None:
    hits = ("fallback",) if fallback else ()
    for source in sources:
        words = _cleaned(source, _raw(image, source, by_hand), settings, *hits)
        if words is not None:
            return words
    return None


def _raw(image: CuratedImage, source: str, by_hand: Mapping[str, str]) -> str:
    if source == _OVERRIDE:
        return by_hand.get(image.sha256, "")
    if source == _FILE_NAME:
        return file_name(image.origin.url)
    return str(getattr(image.origin, source))


def _cleaned(source: str, raw: str, settings: CaptionSettings, *hits: str) -> _Words | None:
    """Return what a source has on an image, in lines if each of them is a caption."""
    # JSON may state half of a surrogate pair, where a server has cut an answer inside an emoji.
    whole = raw.encode("utf-8", "ignore").decode()
    halves = ("half_character",) if whole != raw else ()
    is_written = source in _WRITTEN_IN_LINES
    parts, in_lines = _parts(whole, settings) if is_written else ([whole], ())
    cleaned = [_CLEANED_BY.get(source, clean_text)(part) for part in parts]
    text = "\n".join(each.text for each in cleaned)
    if not text:
        return None
    rules = dict.fromkeys(hit for each in cleaned for hit in each.hits)
    return _Words(source, whole, Cleaned(text, (*hits, *halves, *in_lines, *rules)))


def _parts(text: str, settings: CaptionSettings) -> tuple[list[str], tuple[str, ...]]:
    """Return what a text of several lines becomes, and the name of the rule that decided it."""
    lines = [line for line in _LINE_END.split(text) if clean_text(line).text]
    if len(lines) < _SEVERAL:
        return [text], ()
    parts = {"join": [text], "first": lines[:1], "each": lines}
    return parts[settings.lines], (f"lines_{settings.lines}",)


def _captioned(
    image: CuratedImage,
    words: _Words,
    settings: CaptionSettings,
    tokens: Tokens,
    *,
    captioner: str,
) -> CaptionedImage:
    templates = (settings.template, *settings.variants)
    named = named_fields(templates) - {CAPTION}
    values = {name: clean_text(getattr(image.origin, name)).text for name in named}
    # Whoever takes one of all at random takes those with a weight as often as they are repeated.
    weights = settings.weights or (1,) * len(templates)
    written: list[str] = []
    cut = False
    for template, weight in zip(templates, weights, strict=True):
        for line in words.cleaned.text.split("\n"):
            text, was_cut = fill_within(
                template, {**values, CAPTION: line}, tokens, articles=settings.articles
            )
            written += [text] * weight
            cut = cut or was_cut
    return CaptionedImage(
        image=image,
        raw_caption=words.raw,
        cleaned_caption=words.cleaned.text,
        caption=written[0],
        source=words.source,
        rules_version=RULES_VERSION,
        template=settings.template,
        captioner=captioner,
        rule_hits=(*words.cleaned.hits, *(("cut",) if cut else ())),
        variants=tuple(written[1:]),
    )


def _empty(image: CuratedImage, raw: str, sources: Sequence[str]) -> Rejection:
    asked = f"; the captioner's {raw!r} cleans to nothing" if raw else ""
    return Rejection(
        subject=image.sha256,
        reason="empty_caption",
        detail=f"{image.origin.url} has no words in {', '.join(sources)}{asked}",
    )


def _ask(
    images: Sequence[CuratedImage],
    settings: CaptionSettings,
    workspace: Workspace,
    captioner: Captioner,
) -> dict[str, str]:
    """Return raw captions by sha256, asking the captioner for those not known yet."""
    decoding = captioner.identity(settings)
    keys = {
        image.sha256: item_key(sha256=image.sha256, captioner=captioner.version, decoding=decoding)
        for image in images
    }
    known = workspace.items.get_many_json(ITEMS, list(keys.values()))
    captions = {
        sha256: known[key]
        for sha256, key in keys.items()
        if isinstance(known.get(key), str) and not is_thought(known[key])
    }
    # By size: a chat model's prompt grows with the image, and a batch is padded to its longest.
    by_size = sorted(images, key=lambda image: (image.width_px * image.height_px, image.width_px))
    missing = [each for each in by_size if each.sha256 not in captions]
    with workspace.progress.task("captions", len(keys)) as advance:
        advance(len(captions))
        for batch in batched(missing, captioner.batch_size(settings)):
            shown = [read_jpeg(workspace.blobs, image.sha256) for image in batch]
            try:
                for at, caption in captioner.answers(shown, settings):
                    workspace.items.put_json(ITEMS, keys[batch[at].sha256], caption)
                    captions[batch[at].sha256] = caption
                    workspace.work["captions"] += 1
                    advance(1)
            except ModelError as exc:
                first = next(each for each in batch if each.sha256 not in captions)
                raise ModelError(
                    f"{exc} (the {len(captions)} of {len(keys)} captions that are there are kept; "
                    f"the next run asks for the others, first {first.origin.url})"
                ) from exc
    return captions
