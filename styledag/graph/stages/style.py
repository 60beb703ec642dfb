"""The style file as it is understood: one JSON document with every default filled in."""

from styledag.graph.stage import Inputs, Settings, Stage
from styledag.settings import canonical_json
from styledag.store.artifact import Facts
from styledag.store.workspace import Workspace


def write_style(inputs: Inputs, workspace: Workspace) -> Facts:
    """Write ``style.json``."""
    style = inputs.settings["style"]
    (workspace.folder / "style.json").write_text(canonical_json(style), encoding="utf-8")
    return {
        "sources": len(style["sources"]),
        "recipes": ", ".join(style["recipes"]),
        "description": style["description"],
    }


STAGE = Stage(
    name="style",
    grain="style",
    description=__doc__,
    group="images",
    kinds=frozenset({"yaml"}),
    code_version="1",
    run=write_style,
    settings=lambda declared: Settings(style=declared.style.model_dump(mode="json")),
)
