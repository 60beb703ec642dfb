"""RGB JPEGs of the declared size or buckets, one row an image.

Byte for byte the same on every run. What no decoder can read is rejected by reason.
"""

from styledag.collect.records import RawImage
from styledag.graph.checks import nothing_lost
from styledag.graph.previews import first_images
from styledag.graph.stage import Inputs, Reads, Settings, Stage
from styledag.images import normalise
from styledag.images.encode import codec_versions
from styledag.images.records import JpegImage
from styledag.images.settings import ImageSettings
from styledag.manifest import Manifest
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def make_jpegs(inputs: Inputs, workspace: Workspace) -> Facts:
    """Make a JPEG of every raw image."""
    raw = Manifest.read(inputs.folder("raw_images"), RawImage)
    jpegs = normalise.normalise_images(raw, inputs.settings.of(ImageSettings), workspace)
    return normalise.jpeg_facts(jpegs)


STAGE = Stage(
    name="jpeg_images",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"pillow"}),
    code_version=normalise.CODE_VERSION,
    run=make_jpegs,
    settings=lambda declared: Settings(declared.style.images, codec=codec_versions()),
    reads=(Reads("raw_images"),),
    preview=first_images(JpegImage, lambda row: row.sha256),
    checks=(nothing_lost,),
)
