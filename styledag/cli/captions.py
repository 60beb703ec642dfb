"""`styledag captions`: images with their captions, worst first, and a sheet to correct them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from styledag.cli.context import Session, pass_session
from styledag.cli.run import Device, device_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from styledag.captions.review.worst import ReviewedCaption

_SHOWN = 500
_AT_ONCE_S = 2.0
"""Nobody reads a sheet in less: the editor goes on by itself, as graphical ones do."""


@click.command()
@click.argument("style")
@click.option("--edit", is_flag=True, help="Open a sheet in your editor; changes are overrides.")
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The page's file; data/reviews/STYLE.html unless named.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=_SHOWN,
    show_default=True,
    help="Captions on the page.",
)
@device_option
@pass_session
def captions(
    session: Session, style: str, *, edit: bool, to: Path | None, most: int, device: Device
) -> None:
    """Show a style's images with their captions, those first whose words and image agree least.

    Writes a page. With --edit, opens a sheet (CSV) in $VISUAL or $EDITOR instead, and writes what
    you change in its column `caption` into the file that `captions.overrides` names.
    """
    from styledag.cli.bars import shown_progress
    from styledag.graph.caption_review import captions_of, overrides_path, review
    from styledag.models.compute import ComputeSettings, resolve_compute

    catalogue = session.catalogue
    overrides = overrides_path(catalogue, style) if edit else None
    artifact, rows = captions_of(catalogue, style)
    reviewed = review(
        catalogue,
        style,
        rows,
        lambda: resolve_compute(ComputeSettings(device=device)),
        shown_progress(session.console),
    )
    if overrides is not None:
        _edit(style, reviewed, overrides)
        return
    from styledag.captions.review.page import captions_page
    from styledag.store.files import storage_errors

    page = to or session.project.root / "data" / "reviews" / f"{style}.html"
    html = captions_page(
        style,
        reviewed[:most],
        artifact.facts,
        catalogue.store.blobs.read,
        left_out=len(reviewed[most:]),
    )
    with storage_errors(str(page)):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(html, encoding="utf-8")
    click.echo(f"wrote {page}: {min(most, len(reviewed))} of {len(reviewed)} captions")


def _edit(style: str, reviewed: "Sequence[ReviewedCaption]", overrides: Path) -> None:
    """Let a person change a sheet, and keep the changes; one with an error stays to be mended."""
    from styledag.captions.review.sheet import merge_overrides, read_changes, write_sheet

    sheet = overrides.with_name(f"{overrides.stem}.sheet.csv")
    if sheet.exists():
        click.echo(f"{sheet} is there from before: it is opened as it is")
    else:
        write_sheet(reviewed, sheet)
    began = time.monotonic()
    click.edit(filename=str(sheet))
    took_s = time.monotonic() - began
    changes = read_changes(sheet)
    if changes or not overrides.exists():  # A run refuses a file that is named and not there.
        merge_overrides(changes, overrides, [each.row for each in reviewed])
    click.echo(f"{len(changes)} captions changed in {overrides}")
    if not changes and took_s < _AT_ONCE_S:
        click.echo(
            f"the editor ended at once: if it still shows {sheet}, save it there and call this "
            "again, or name an editor that waits (EDITOR='code --wait'); else remove the sheet"
        )
        return
    sheet.unlink()
    if changes:
        click.echo(f"use them: styledag run {style}")
