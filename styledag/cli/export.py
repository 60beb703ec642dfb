"""`styledag export`: a dataset for another trainer, or a model for another program."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from styledag.cli.context import Session, pass_session

if TYPE_CHECKING:
    from styledag.graph.catalogue import Catalogue
    from styledag.publishing.hub.settings import PublishSettings

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}
FORMATS = ("diffusers", "single-file", "lora")
TRAINERS = ("kohya", "onetrainer", "ai-toolkit", "diffusers", "webdataset")

Command = TypeVar("Command", bound=Callable[..., Any])


def model_options(command: Command) -> Command:
    """Add the options that exporting and publishing a model share.

    What is left out is as the style file's section ``publish`` has it.
    """
    options = (
        click.option("--format", type=click.Choice(FORMATS), help="diffusers if left out."),
        click.option("--dtype", type=click.Choice(list(DTYPES)), help="fp16 if left out."),
        click.option("--licence", help="Licence of the model, for its card."),
        click.option("--licence-url", help="Its text, if the Hub does not know it."),
        click.option("--dataset", help="Hub id of its dataset, if that is published."),
    )
    for option in options:
        command = option(command)
    return command


def chosen(catalogue: "Catalogue", name: str, **given: Any) -> "PublishSettings":
    """Return how a style's file says that it is published, but for what options say.

    Args:
        catalogue: The project.
        name: The style, or one of its models.
        **given: Options; those that are ``None`` were left out.

    Raises:
        StyleFileError: If the style file is missing or broken.
        click.UsageError: If the options cannot be meant.
    """
    from styledag.publishing.hub.settings import PublishSettings

    stated = catalogue.style(name.partition(".")[0]).publish or PublishSettings()
    if given.get("to") not in (None, stated.to):
        stated = replace(stated, dataset=None, models=None)  # names of the other kind
    if given.get("dtype"):
        given["dtype"] = DTYPES[given["dtype"]]
    try:
        return replace(stated, **{key: value for key, value in given.items() if value is not None})
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc


@click.group()
def export() -> None:
    """Write a dataset or a model for other programs."""


@export.command("dataset")
@click.argument("style")
@click.option("--for", "trainer", required=True, type=click.Choice(TRAINERS), help="Who reads it.")
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--recipe", default="", help="Whose settings it uses; the style's first if left out.")
@click.option("--version", default="", help="First digits of a version; the current if left out.")
@pass_session
def export_dataset_command(
    session: Session, style: str, *, trainer: str, to: Path, recipe: str, version: str
) -> None:
    """Write a style's dataset and a configuration for another trainer."""
    from styledag.graph.exported_dataset import find_dataset, trainer_settings
    from styledag.publishing.datasets.export import export_dataset

    catalogue = session.catalogue
    dataset = find_dataset(catalogue.store, style, version)
    settings = trainer_settings(catalogue, style, recipe)
    facts = export_dataset(dataset.folder, to, trainer, settings)  # type: ignore[arg-type]
    click.echo(f"wrote {facts['images']} images to {to}")
    if facts["variants_left_out"]:
        click.echo(f"{trainer} reads one caption an image: {facts['variants_left_out']} left out")
    if facts["command"]:
        click.echo(f"train with: {facts['command']}")


@export.command("model")
@click.argument("name", metavar="MODEL[@EPOCH|:BLEND]")
@click.option("--to", required=True, type=click.Path(path_type=Path))
@model_options
@pass_session
def export_model_command(
    session: Session, /, name: str, *, to: Path, dataset: str | None, **given: str | None
) -> None:
    """Write a model as a diffusers folder, as a single file or as a LoRA file, with its card.

    Beside a file NAME.safetensors, the card is NAME.md and its sample grid NAME.png.
    """
    from styledag.graph.exports.exported_card import CardTerms, export_with_card
    from styledag.graph.find_exportable import find_exportable
    from styledag.graph.tracing.ancestry import find_artifact
    from styledag.publishing.single_file.stable_diffusion_3 import is_whole

    catalogue = session.catalogue
    settings = chosen(catalogue, name, **given)
    source = find_exportable(catalogue, find_artifact(catalogue.store, name), settings.format)
    facts = export_with_card(
        source,
        to,
        settings.format,
        dtype=settings.dtype,
        terms=CardTerms.of(settings, dataset=dataset),
    )
    click.echo(f"wrote {facts['parameters']:,} parameters, {facts['bytes']:,} bytes, to {to}")
    if settings.format == "single-file" and not is_whole(source.base):
        click.echo(
            "it is the transformer alone: ComfyUI reads it from models/diffusion_models (node Load "
            "Diffusion Model), beside the base's text encoders and autoencoder"
        )
