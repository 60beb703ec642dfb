"""`styledag lineage`: what a model, checkpoint or blend came from, to every image's address."""

import json
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from styledag.cli.context import Session, pass_session


@click.command()
@click.argument("name", metavar="MODEL[@EPOCH|:BLEND]")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--images", is_flag=True, help="List every image with address and licence.")
@pass_session
def lineage(session: Session, name: str, *, as_json: bool, images: bool) -> None:
    """Show what a model, one of its checkpoints or one of its blends came from.

    Examples: twemoji.full, twemoji.full@3, twemoji.full:0.50, twemoji.full:ema-0.15
    """
    from styledag.graph.ancestry import describe_lineage, find_artifact
    from styledag.graph.catalogue import Catalogue

    store = Catalogue(session.project).store
    described = describe_lineage(store, find_artifact(store, name), images=images)
    if as_json:
        click.echo(json.dumps(asdict(described), indent=2, ensure_ascii=False))
        return
    _print(session.console, asdict(described))


def _print(console: Console, described: dict[str, Any]) -> None:
    tree = Tree(f"[bold]{described['asset']} {described['partition']}[/bold]")
    tree.add(f"version {described['version']}")
    recipe = tree.add("recipe")
    for key, value in described["recipe"].items():
        recipe.add(f"{key}: {value}")
    for step in described["steps"]:
        where = f"{step['asset']} [dim]{escape(step['partition'])}[/dim]"
        made = f", code {step['code_version']}" if step["code_version"] else ""
        tree.add(f"{where} {step['version'][:12]}{made}")
    images = tree.add(f"{described['image_count']} images")
    for licence, count in described["licences"].items():
        images.add(f"{count} under {escape(licence)}")
    for image in described["images"]:
        images.add(escape(f"{image['url']}  {image['licence']}  “{image['caption']}”"))
    console.print(tree)
