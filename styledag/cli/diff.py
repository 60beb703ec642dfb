"""`styledag diff`: what changed between two versions of a style's dataset."""

import click

from styledag.cli.context import Session, pass_session


@click.command()
@click.argument("style")
@click.argument("before", required=False, default="")
@click.argument("after", required=False, default="")
@pass_session
def diff(session: Session, style: str, before: str, after: str) -> None:
    """Show images and captions that differ between two versions of a style's dataset.

    BEFORE and AFTER are versions, or their first digits. AFTER is the current version when left
    out, and BEFORE the version before it.
    """
    from styledag.graph.exported_dataset import find_dataset, find_previous_dataset
    from styledag.publishing.datasets.diff import diff_datasets, diff_text

    store = session.catalogue.store
    first = find_dataset(store, style, before) if before else find_previous_dataset(store, style)
    second = find_dataset(store, style, after)
    click.echo(f"{first.version[:12]} to {second.version[:12]}: ", nl=False)
    click.echo(diff_text(diff_datasets(first.folder, second.folder)))
