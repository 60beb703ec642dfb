"""`styledag sign`: C2PA content credentials for images that a model drew."""

from pathlib import Path

import click

_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command()
@click.argument("images", nargs=-1, required=True, type=_FILE, metavar="PNG...")
@click.option(
    "--to",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the signed images.",
)
@click.option("--certificates", required=True, type=_FILE, help="PEM: yours first, then its chain.")
@click.option("--key", required=True, type=_FILE, help="PEM of your private key.")
@click.option(
    "--algorithm",
    type=click.Choice(["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]),
    default="es256",
    show_default=True,
)
@click.option("--timestamp-url", help="Time-stamping authority to ask, if any.")
def sign(
    images: tuple[Path, ...],
    *,
    to: Path,
    certificates: Path,
    key: Path,
    algorithm: str,
    timestamp_url: str | None,
) -> None:
    """Sign PNGs as made by a trained model, with a certificate of yours; needs styledag[c2pa].

    The signed images are written into a folder under their names. A signature shows who vouches
    for an image; it is lost when the image is encoded again.
    """
    from styledag.publishing.signing import sign_png
    from styledag.store.files import storage_errors

    if len({path.name for path in images}) < len(images):
        raise click.UsageError("two of the images have one name: sign them into two folders")
    with storage_errors(str(to)):
        to.mkdir(parents=True, exist_ok=True)
        for path in images:
            signed = sign_png(
                path.read_bytes(),
                title=path.name,
                certificates=certificates,
                key=key,
                algorithm=algorithm,  # type: ignore[arg-type]
                timestamp_url=timestamp_url,
            )
            (to / path.name).write_bytes(signed)
    click.echo(f"signed {len(images)} images into {to}")
