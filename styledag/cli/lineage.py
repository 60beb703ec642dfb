"""`styledag lineage`: what a model, checkpoint or blend came from, to every image's address."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from styledag.cli.context import Session, pass_session
from styledag.errors import LineageError, StyledagError

if TYPE_CHECKING:
    from styledag.store.artifact import Artifact


@click.command()
@click.argument("name", metavar="MODEL[@EPOCH|:BLEND]|FILE")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--images", is_flag=True, help="List every image with address and licence.")
@click.option("--why", "other", metavar="OTHER", help="Show what differs from another one.")
@click.option(
    "--cyclonedx",
    "bill",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a CycloneDX ML-BOM instead; needs styledag[bom].",
)
@click.option(
    "--openlineage",
    "events",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write OpenLineage events instead, one a line; needs styledag[openlineage].",
)
@pass_session
def lineage(
    session: Session,
    name: str,
    *,
    as_json: bool,
    images: bool,
    other: str | None,
    bill: Path | None,
    events: Path | None,
) -> None:
    """Show what a model, one of its checkpoints or one of its blends came from.

    Of a PNG that was drawn, or a safetensors file that was made, it shows what the file itself
    states, and all else if the project's store has its model. A file that states nothing, as a
    labelled grid or a checkpoint, is known by its content where the store has it.

    Examples: twemoji.full, twemoji.full@3, twemoji.full:0.50, twemoji.full:ema-0.15, fox.png,
    twemoji.full:both, twemoji.full@3 --why twemoji.full@8
    """
    from styledag.graph.lineage import trace
    from styledag.graph.tracing.ancestry import lineage_of
    from styledag.graph.tracing.difference import explain_difference

    marks, artifact = _find(session, name)
    if bill is not None or events is not None:
        _require_alone(bill, events, other, as_json=as_json, images=images)
        if artifact is None:
            raise LineageError(f"the store has not the model of {name}: nothing is written")
        if bill is not None:
            _write(_bill(session, artifact, images=images), bill)
        elif events is not None:
            _write(_events(session, artifact), events)
        return
    if other is not None:
        _, second = _find(session, other)
        if artifact is None or second is None:
            missing = name if artifact is None else other
            raise LineageError(f"the store has not the model of {missing}: nothing to compare")
        difference = asdict(explain_difference(session.catalogue.store, artifact, second))
        if as_json:
            click.echo(json.dumps(difference, indent=2, ensure_ascii=False))
        else:
            _show_difference(session.console, f"{name} and {other}", difference)
        return
    described: dict[str, Any] = {"file": dict(marks)} if marks else {}
    if artifact is not None:
        traced = trace(session.catalogue.store, artifact)
        described |= asdict(lineage_of(traced, images=images))
    if as_json:
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    _print(session.console, described)


def _require_alone(
    bill: Path | None, events: Path | None, other: str | None, *, as_json: bool, images: bool
) -> None:
    if as_json or other is not None or (events is not None and (images or bill is not None)):
        raise click.UsageError(
            "--cyclonedx goes with --images alone, and --openlineage with no other option"
        )


def _find(session: Session, name: str) -> "tuple[Mapping[str, str], Artifact | None]":
    """Return what a file states, and the artifact that it or a name stands for."""
    from styledag.graph.tracing.ancestry import find_artifact
    from styledag.graph.tracing.marked_files import SUFFIXES, find_file, find_marked, read_marks

    path = Path(name)
    if path.suffix.lower() not in SUFFIXES:
        return {}, find_artifact(session.catalogue.store, name)
    marks = read_marks(path)
    try:
        catalogue = session.catalogue
    except StyledagError as exc:
        # A lone file is enough for what it states itself.
        if not marks:
            raise LineageError(f"{path} states nothing of its origin, and {exc}") from exc
        return marks, None
    store = catalogue.store
    artifact = find_marked(store, marks) or find_file(store, path)
    if not marks and artifact is None:
        raise LineageError(
            f"{path} states nothing of its origin, and the store here has no such file"
        )
    return marks, artifact


def _bill(session: Session, model: "Artifact", *, images: bool) -> str:
    from styledag.cli.export import chosen
    from styledag.graph.exports.bill_of_materials import bill_of_materials
    from styledag.graph.exports.exported_card import CardTerms
    from styledag.graph.find_exportable import find_exportable

    catalogue = session.catalogue
    terms = CardTerms.of(chosen(catalogue, model.partition))
    return bill_of_materials(find_exportable(catalogue, model, "diffusers"), terms, images=images)


def _events(session: Session, artifact: "Artifact") -> str:
    from styledag.graph.exports.lineage_events import lineage_events

    catalogue = session.catalogue
    return lineage_events(catalogue.store, artifact, catalogue.stages)


def _write(text: str, to: Path) -> None:
    from styledag.store.files import storage_errors

    with storage_errors(str(to)):
        to.write_text(text, encoding="utf-8")
    click.echo(f"wrote {to}")


def _show_difference(console: Console, of: str, difference: Mapping[str, Any]) -> None:
    tree = Tree(f"[bold]what differs in what led to {escape(of)}[/bold]")
    data = ", ".join(f"{count} {what}" for what, count in difference["data"].items())
    tree.add(f"data: {data or 'the same images'}")
    tree.add(f"captions: {difference['captions']} of images in both")
    tree.add(f"settings of other stages: {', '.join(difference['settings']) or 'the same'}")
    for what, label in (("recipe", "recipe"), ("code", "code"), ("models", "models")):
        changes = difference[what]
        branch = tree.add(label if changes else f"{label}: the same")
        for name, (before, after) in changes.items():
            branch.add(escape(f"{name}: {_short(before)} is {_short(after)}"))
    console.print(tree)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] if len(text) == 64 else text


def _print(console: Console, described: dict[str, Any]) -> None:
    title = f"{described['asset']} {_named(described)}" if "asset" in described else "file"
    tree = Tree(f"[bold]{escape(title)}[/bold]")
    if "file" in described:
        file = tree.add("as the file states")
        for key, value in described["file"].items():
            file.add(escape(f"{key}: {value}"))
    if "asset" in described:
        _add_lineage(tree, described)
    else:
        tree.add("the store here has no such model")
    console.print(tree)


def _named(described: Mapping[str, Any]) -> str:
    """Return a partition's name as a person writes it."""
    from styledag.graph.names import Partition

    return Partition.from_store(described["partition"]).key


def _add_lineage(tree: Tree, described: Mapping[str, Any]) -> None:
    tree.add(f"version {described['version']}")
    recipe = tree.add("recipe")
    for key, value in described["recipe"].items():
        recipe.add(escape(f"{key}: {value}"))
    for step in described["steps"]:
        # Of a model from elsewhere, it is a path.
        named = _named(step) if step["code_version"] else step["partition"]
        where = f"{step['asset']} [dim]{escape(named)}[/dim]"
        made = f", code {step['code_version']}" if step["code_version"] else ""
        tree.add(f"{where} {step['version'][:12]}{made}")
    images = tree.add(f"{described['image_count']} images")
    for licence, count in described["licences"].items():
        images.add(f"{count} under {escape(licence)}")
    for image in described["images"]:
        images.add(escape(f"{image['url']}  {image['licence']}  “{image['caption']}”"))
