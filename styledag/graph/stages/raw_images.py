"""Images exactly as their sources serve them, one row an image.

With provenance: page, address, title, alternative text, licence, author, ETag, hashes. Sources are
asked on every run; what they have not changed is not sent again.
"""

from styledag.collect import collect
from styledag.collect.records import RawImage
from styledag.graph.checks import nothing_lost
from styledag.graph.previews import first_images
from styledag.graph.stage import Inputs, Settings, Stage
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def collect_raw(inputs: Inputs, workspace: Workspace) -> Facts:
    """Collect the images of every source."""
    sources = inputs.settings["sources"]
    return collect.collect_images(sources, workspace, project=inputs.root).facts


STAGE = Stage(
    name="raw_images",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"python"}),
    code_version=collect.CODE_VERSION,
    run=collect_raw,
    settings=lambda declared: Settings(sources=declared.style.sources),
    depends_on_outside=True,
    preview=first_images(RawImage, lambda row: row.sha256),
    checks=(nothing_lost,),
)
