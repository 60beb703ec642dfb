"""`styledag publish`: a dataset or a model, to the Hub or to a folder."""

from pathlib import Path

import click

from styledag.cli.context import Session, pass_session
from styledag.cli.export import DTYPES, model_options


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
    name: str,
    *,
    repo: str | None,
    to: Path | None,
    public: bool,
    denied: tuple[str, ...],
    form: str,
    dtype: str,
    licence: str,
    licence_url: str,
    dataset: str,
) -> None:
    """Publish a style's dataset, or a model with its card; only what differs is sent.

    The Hub's access token is that of `hf auth login`, or HF_TOKEN.
    """
    from styledag.graph.ancestry import find_artifact
    from styledag.graph.catalogue import Catalogue
    from styledag.graph.exported_card import CardTerms
    from styledag.graph.publication import publish_dataset, publish_model
    from styledag.publishing.hub.settings import PublishSettings

    if (repo is None) == (to is None):
        raise click.UsageError("name either --repo OWNER/NAME or --to FOLDER")
    target = repo if repo is not None else str(to)
    settings = PublishSettings(
        to="folder" if repo is None else "hub", private=not public, deny_licences=denied
    )
    catalogue = Catalogue(session.project)
    if "." in name:
        facts = publish_model(
            catalogue,
            find_artifact(catalogue.store, name),
            target,
            settings,
            form,  # type: ignore[arg-type]
            dtype=DTYPES[dtype],  # type: ignore[arg-type]
            terms=CardTerms(
                licence=licence, licence_url=licence_url, repo=repo or "", dataset=dataset
            ),
        )
    else:
        facts = publish_dataset(catalogue, name, target, settings)
    counts = ", ".join(f"{facts[each]} {each}" for each in ("uploaded", "unchanged", "deleted"))
    click.echo(f"{facts['url']} is at {facts['tag']}: {counts}")
