"""`styledag show`: the images of a style, what was left out and why, and a sheet of them."""

from itertools import chain, islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape

from styledag.cli.context import Session, pass_session

if TYPE_CHECKING:
    from styledag.manifest import Manifest
    from styledag.store.artifact import Artifact

IMAGE_ASSETS = ("raw_images", "jpeg_images", "curated_images")
"""Assets with one row an image that have a contact sheet."""
_EXAMPLES = 3
_LICENCES = 5
_SHEETS = Path("data") / "sheets"


@click.command()
@click.argument("style")
@click.argument("asset", type=click.Choice(IMAGE_ASSETS), required=False)
@click.option(
    "--review",
    is_flag=True,
    help="Write a CSV of the curated images, in which you decide what is kept and dropped.",
)
@pass_session
def show(session: Session, style: str, asset: str | None, *, review: bool) -> None:
    """Show the images of a style: counts, reasons, licences, and a contact sheet to open.

    Of ASSET, or of the last one that was made.
    """
    from styledag.store.store import Store

    if review:
        _write_review(session, style)
        return

    session.project.style(style)
    store = Store(session.project.store_url)
    artifacts = [store.current(each, style) for each in IMAGE_ASSETS]
    made = [each for each in artifacts if each is not None]
    if asset is not None:
        chosen = store.require(asset, style)
    elif made:
        chosen = made[-1]
    else:
        chosen = store.require(IMAGE_ASSETS[0], style)
    for artifact in made[: IMAGE_ASSETS.index(chosen.asset) + 1]:
        _print_counts(session, artifact, with_notes=artifact.asset == chosen.asset)
    sheet = _sheet(chosen, style, session.project.root)
    session.console.print(f"contact sheet: {session.shown(sheet)}")


def _write_review(session: Session, style: str) -> None:
    """Write or bring up to date the review that the style file names, or would name."""
    from styledag.images.review import write_review
    from styledag.store.store import Store

    project = session.project
    named = project.style(style).curation.review
    path = named or f"data/styles/{style}.review.csv"
    curated = Store(project.store_url).require("curated_images", style)
    write_review(project.root / path, _manifest(curated))
    session.console.print(f"wrote {path}: write keep or drop in its column verdict")
    if named is None:
        session.console.print(f"and in the style file: curation: {{review: {path}}}")


def _print_counts(session: Session, artifact: "Artifact", *, with_notes: bool) -> None:
    """Print a line of counts and, of the chosen asset, the reasons, licences and notes."""
    manifest, console = _manifest(artifact), session.console
    facts = manifest.facts
    console.print(f"[bold]{artifact.asset}[/bold]: {facts['kept']} of {facts['found']} kept")
    for reason, rejected in _by_reason(manifest).items():
        console.print(f"  {len(rejected)} {reason}")
        for each in _examples(rejected):
            console.print(f"    {escape(each.subject)}: {escape(each.detail)}", style="dim")
    if not with_notes:
        return
    unmatched = artifact.facts.get("names_unmatched_first", ())
    if unmatched:
        console.print(
            f"  {artifact.facts['names_unmatched']} names in keep, drop or the review mean no "
            f"image, such as {escape(', '.join(map(repr, unmatched)))}"
        )
    for line in _notes(artifact):
        console.print(f"  {escape(line)}")
    for licence, count in _licences(manifest):
        console.print(f"  licence {escape(licence)}: {count}")


def _examples(rejected: list[Any]) -> list[Any]:
    """Return a few rejections, of names with different endings first."""
    first = {PurePosixPath(each.subject).suffix.lower(): each for each in reversed(rejected)}
    by_ending = list(first.values())[::-1]
    others = (each for each in rejected if each not in by_ending)
    return list(islice(chain(by_ending, others), _EXAMPLES))


def _by_reason(manifest: "Manifest[Any]") -> dict[str, list[Any]]:
    reasons: dict[str, list[Any]] = {}
    for each in manifest.rejected:
        reasons.setdefault(each.reason, []).append(each)
    return dict(sorted(reasons.items()))


def _licences(manifest: "Manifest[Any]") -> list[tuple[str, int]]:
    from collections import Counter

    counts = Counter(row.origin.licence for row in manifest.rows)
    shown = counts.most_common(_LICENCES)
    others = len(manifest.rows) - sum(count for _, count in shown)
    return [*shown, (f"of {len(counts) - _LICENCES} others", others)] if others else shown


def _notes(artifact: "Artifact") -> list[str]:
    from styledag.collect.collect import NOTES
    from styledag.store.digest import LOG_FOLDER

    path = artifact.folder / LOG_FOLDER / NOTES
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []


def _manifest(artifact: "Artifact") -> "Manifest[Any]":
    from styledag.collect.records import RawImage
    from styledag.images.records import CuratedImage, JpegImage
    from styledag.manifest import Manifest

    row_types: tuple[type[Any], ...] = (RawImage, JpegImage, CuratedImage)
    return Manifest.read(artifact.folder, row_types[IMAGE_ASSETS.index(artifact.asset)])


def _sheet(artifact: "Artifact", style: str, root: Path) -> Path:
    """Return the page of an artifact's images, written now unless the artifact contains it."""
    from styledag.images.contact_sheet import SHEET_FILE
    from styledag.images.found_sheet import write_found_sheet
    from styledag.store.blobs import Blobs

    own = artifact.folder / SHEET_FILE
    if own.is_file():
        return own
    path = root / _SHEETS / f"{style}.{artifact.asset}.html"
    manifest = _manifest(artifact)
    write_found_sheet(manifest.rows, manifest.facts, Blobs(artifact.files), path)
    return path
