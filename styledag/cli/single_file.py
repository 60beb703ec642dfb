"""`styledag import`: a single-file checkpoint becomes a base that a style file can name."""

from pathlib import Path

import click


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--to", required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--architecture",
    type=click.Choice(
        ["stable-diffusion-v1", "stable-diffusion-v2-512", "stable-diffusion-v2-768-v"]
    ),
    help="What the file is, where its header and tensors leave that open.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with configurations and tokenizer, for a model of another size.",
)
def import_command(file: Path, *, to: Path, architecture: str | None, config: Path | None) -> None:
    """Make a .safetensors file of Stable Diffusion 1.x or 2.x into a folder for `base.model`."""
    from styledag.publishing.single_file.load import import_single_file

    facts = import_single_file(file, to, config=config, architecture=architecture)
    counts = ", ".join(f"{name} {facts[name]:,}" for name in ("unet", "vae", "text_encoder"))
    click.echo(f"wrote {to} (parameters: {counts})")
    click.echo(f"name it in the style file: base: {{model: {to}}}")
