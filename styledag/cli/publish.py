"""`styledag publish`: a dataset or a model, to the Hub or to a folder."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from styledag.cli.context import Session, pass_session
from styledag.cli.export import chosen, model_options

if TYPE_CHECKING:
    from styledag.graph.catalogue import Catalogue
    from styledag.publishing.hub.settings import PublishSettings
    from styledag.store.artifact import Facts


@click.command()
@click.argument("name", metavar="STYLE|MODEL[@EPOCH|:BLEND]")
@click.option("--repo", help="Repository on the Hugging Face Hub, as owner/name.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), help="A folder instead.")
@click.option("--public", is_flag=True, help="Whether a new repository is public.")
@click.option(
    "--deny-licence",
    "denied",
    multiple=True,
    help="Refuse if an image has this licence; * stands for any letters, as in *-NC-*.",
)
@model_options
@pass_session
def publish(
    session: Session,
    /,
    name: str,
    *,
    repo: str | None,
    to: Path | None,
    public: bool,
    denied: tuple[str, ...],
    dataset: str | None,
    **given: Any,
) -> None:
    """Publish a style's dataset, or a model with its card; only what differs is sent.

    What no option says is as the style file's section `publish` has it. The Hub's access token is
    that of `hf auth login`, or HF_TOKEN.
    """
    if repo is not None and to is not None:
        raise click.UsageError("name either --repo OWNER/NAME or --to FOLDER")
    if repo is not None or to is not None:
        given["to"] = "folder" if repo is None else "hub"
    catalogue = session.catalogue
    settings = chosen(
        catalogue,
        name,
        deny_licences=denied or None,
        private=False if public else None,
        **given,
    )
    facts = _published(catalogue, name, repo or to, settings, dataset)
    counts = ", ".join(f"{facts[each]} {each}" for each in ("uploaded", "unchanged", "deleted"))
    click.echo(f"{facts['url']} is at {facts['tag']}: {counts}")


def _published(
    catalogue: "Catalogue",
    name: str,
    target: str | Path | None,
    settings: "PublishSettings",
    dataset: str | None,
) -> "Facts":
    """Publish what a name means, on the disk of the store."""
    from styledag.graph.exported_dataset import find_dataset
    from styledag.graph.exports.exported_card import CardTerms
    from styledag.graph.exports.publication import located, publish_dataset, publish_model
    from styledag.graph.find_exportable import find_exportable
    from styledag.graph.names import Partition
    from styledag.graph.tracing.ancestry import find_artifact

    model = find_artifact(catalogue.store, name) if "." in name else None
    stated = settings.dataset
    if model is not None:
        stated = settings.model_target(Partition.from_store(model.partition).recipe)
    if target is not None:
        where = str(target)
    elif stated is not None:
        where = located(stated, settings, catalogue.project.root)
    else:
        raise click.UsageError(
            "name either --repo OWNER/NAME or --to FOLDER, or a target in the style file's section "
            "publish"
        )
    cache = catalogue.store.files.cache
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="publish-") as folder:
        staging = Path(folder) / "content"
        if model is None:
            return publish_dataset(find_dataset(catalogue.store, name), where, settings, staging)
        terms = CardTerms.of(settings, target=where, dataset=dataset)
        source = find_exportable(catalogue, model, settings.format)
        return publish_model(source, where, settings, staging, terms)
