"""What a changed setting of a recipe costs: nothing, the steps that are new, or a training."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from styledag.graph.build import build_planned
from styledag.graph.catalogue import Catalogue
from styledag.graph.checkpoint_unets import whole_unet
from styledag.graph.names import Partition
from styledag.graph.plan import plan_build
from styledag.models.compute import Compute, ComputeSettings, resolve_compute
from styledag.progress import SilentProgress
from styledag.project import Project
from styledag.store.store import Built
from styledag.tensors.layout import WEIGHTS_FILE
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import MODEL, edit

STEPS_PER_EPOCH = 2
AVERAGED_TO_THE_END = "    ema: {mode: base, base_share: 0.3}\n"
CONTINUABLE = "    ema: {mode: warmup}\n    lr_schedule: constant\n"


@pytest.fixture
def project(undisturbed: Undisturbed, tmp_path: Path) -> Iterator[Project]:
    with copied(undisturbed, tmp_path / "project") as project:
        yield project


def train(project: Project) -> Built:
    """Train the model of the style file as it is now."""
    return build(project, "ema_unet")


def build(project: Project, asset: str) -> Built:
    """Build an asset of the model, whose inputs are there."""
    catalogue = Catalogue(project)
    plan = plan_build(catalogue, asset, Partition.parse(MODEL))
    return build_planned(
        plan, catalogue.store, cpu, progress=SilentProgress(), on_part=lambda *_: None
    )


def cpu() -> Compute:
    return resolve_compute(ComputeSettings(device="cpu"))


@pytest.mark.parametrize(
    "setting",
    [
        "gradient_checkpointing: true",
        "ema_on_cpu: true",
        "save_state_every_steps: 7",
        "keep_state: false",
        "snapshot_format: delta",
        "stopping: {action: mark}",
    ],
)
def test_how_it_is_computed_stored_or_marked_trains_nothing(project: Project, setting: str) -> None:
    edit(project, "    save_state_every_steps: 1\n", f"    {setting}\n")
    assert train(project).cached


def test_more_epochs_cost_the_steps_that_are_new(
    project: Project, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    edit(project, AVERAGED_TO_THE_END, CONTINUABLE)
    assert train(project).work["steps"] == 2 * STEPS_PER_EPOCH
    edit(project, "    epochs: 2\n", "    epochs: 4\n")
    longer = train(project)
    assert longer.work["steps"] == 2 * STEPS_PER_EPOCH
    assert longer.artifact.facts["continued_from_step"] == 2 * STEPS_PER_EPOCH
    with copied(undisturbed, tmp_path / "at once") as another:
        edit(another, AVERAGED_TO_THE_END, CONTINUABLE)
        edit(another, "    epochs: 2\n", "    epochs: 4\n")
        at_once = train(another)
    assert at_once.work["steps"] == 4 * STEPS_PER_EPOCH
    assert at_once.artifact.version == longer.artifact.version


def test_where_the_first_epochs_depend_on_the_last_one_the_facts_state_why(
    project: Project,
) -> None:
    edit(project, "    epochs: 2\n", "    epochs: 3\n")
    longer = train(project)
    assert longer.work["steps"] == 3 * STEPS_PER_EPOCH
    assert "depends on the number of epochs" in longer.artifact.facts["began_anew"]


def test_a_checkpoint_beside_adapters_is_a_fraction_and_is_read_whole(
    project: Project, starter: Path, tmp_path: Path
) -> None:
    adapters = "lora: {rank: 2}\n    trained: attention\n    snapshot_format: delta"
    edit(project, "    save_state_every_steps: 1\n", f"    {adapters}\n")
    model = train(project).artifact
    assert list(build(project, "evolution").artifact.folder.rglob("*.gif"))
    checkpoint = Catalogue(project).store.require("checkpoint", f"{MODEL}/e002")
    assert checkpoint.facts["bytes"] < 0.05 * checkpoint.facts["bytes_full"]
    base = starter / "stable-diffusion" / "unet"
    with whole_unet(checkpoint, base=base, scratch=tmp_path) as last:
        restored = (last / WEIGHTS_FILE).read_bytes()
    assert restored == (model.folder / "unet" / WEIGHTS_FILE).read_bytes()
