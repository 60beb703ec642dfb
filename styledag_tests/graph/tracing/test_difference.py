"""What has changed since the version of a model before."""

from pathlib import Path

from styledag.graph.tracing.difference import since_previous
from styledag.store.artifact import Artifact
from styledag.store.store import Target
from styledag.store.workspace import Workspace
from styledag_tests.cli.made_project import MadeProject, made_project
from styledag_tests.whole.small_project import MODEL


def trained(made: MadeProject, dataset: Artifact, epochs: int) -> Artifact:
    """Return the model as it would be trained anew."""
    (base,) = (each for each in made.model.build.inputs if not each.build)

    def tune(workspace: Workspace) -> dict[str, int]:
        (workspace.folder / "snapshots.json").write_text(f"[{epochs}]")
        return {}

    target = Target(
        asset="ema_unet",
        partition=MODEL,
        code_version="1",
        settings={"Recipe": {"epochs": epochs, "ema": {"mode": "base"}}},
        inputs=(dataset.as_input(), base),
    )
    return made.catalogue.store.build(target, tune).artifact


def test_the_version_before_is_found_and_every_change_named(tmp_path: Path, starter: Path) -> None:
    made = made_project(tmp_path, starter)
    store = made.catalogue.store
    assert since_previous(store, made.model) == ("", ())
    second = trained(made, made.add_dataset(range(1, 8)), epochs=5)
    previous, changes = since_previous(store, second)
    assert previous == made.model.version
    assert changes == (
        "2 images added",
        "1 image removed",
        "epochs: 2 is now 5",
        f"code of image_dataset: {range(6)} is now {range(1, 8)}",
    )
    assert since_previous(store, made.model) == ("", ())


def test_where_the_former_inputs_are_gone_it_says_so(tmp_path: Path, starter: Path) -> None:
    made = made_project(tmp_path, starter)
    store = made.catalogue.store
    second = trained(made, made.add_dataset(range(1, 8)), epochs=5)
    store.files.remove_folder(made.dataset.name)
    _, changes = since_previous(store, second)
    assert changes == ("what the former version came from is no longer in the store",)
