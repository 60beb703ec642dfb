"""What follows from the number of images is asked once they are counted, and before hours."""

import pytest

from styledag.defs.code_location import build_definitions
from styledag.defs.opened_history import open_history
from styledag.defs.runs import RunFailedError, Step, run_step
from styledag.errors import TrainingError
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.planned_training import counted_images
from styledag.graph.checking.preflight import check_style, require_ready
from styledag.graph.checking.training_check import check_steps
from styledag.graph.names import Partition
from styledag.store.artifact import Artifact, Facts, Input
from styledag.store.store import Target
from styledag.store.workspace import Workspace
from styledag_tests.cli.made_project import make_dataset
from styledag_tests.graph.checking.conftest import CPU, edit
from styledag_tests.whole.small_project import STYLE

MODEL = Partition(STYLE, "full")
NO_AVERAGE = (r"base_share: 0\.3", "decay: 0.9999")
TOO_LONG = (r"batch_size: 8", "batch_size: 8\n    lr_warmup_steps: 2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (NO_AVERAGE, r"after 2 steps 100\.0% of the average are the base"),
        (TOO_LONG, "lr_warmup_steps is 2, but the whole run has only 2 optimiser steps"),
    ],
)
def test_too_few_steps_are_refused_before_anything_is_encoded(
    catalogue: Catalogue,
    change: tuple[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(catalogue.project.root, *change)
    assert check_steps(catalogue, MODEL, CPU) == "known once the images are counted"
    make_dataset(catalogue, range(6))
    with pytest.raises(TrainingError, match=message):
        check_steps(catalogue, MODEL, CPU)
    (finding,) = [each for each in check_style(catalogue, STYLE, [], CPU) if not each.is_fine]
    assert finding.subject == f"{MODEL}: steps"

    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.chdir(catalogue.project.root)
    definitions = build_definitions(catalogue.project, checks_first=False, compute=CPU)
    with (
        open_history(catalogue.project.root) as instance,
        pytest.raises(RunFailedError, match=message),
    ):
        run_step(definitions, instance, Step(("encoded_dataset",), MODEL.key))


def test_a_run_that_may_find_more_images_is_not_refused_for_those_it_had(
    catalogue: Catalogue,
) -> None:
    edit(catalogue.project.root, *TOO_LONG)
    make_dataset(catalogue, range(6))
    require_ready(catalogue, STYLE, (), CPU)
    make_dataset(catalogue, range(20))
    assert check_steps(catalogue, MODEL, CPU) == "6, images as counted in image_dataset"


def test_an_average_whose_check_only_warns_is_not_refused(catalogue: Catalogue) -> None:
    edit(catalogue.project.root, *NO_AVERAGE)
    edit(catalogue.project.root, r"\nblends:", "\nchecks: {errors: [nothing_lost]}\nblends:")
    make_dataset(catalogue, range(6))
    assert check_steps(catalogue, MODEL, CPU) == "2, images as counted in image_dataset"


def test_what_was_encoded_of_a_former_dataset_counts_no_more(catalogue: Catalogue) -> None:
    encode(catalogue, make_dataset(catalogue, range(6)), train=5)
    assert counted_images(catalogue, MODEL) == (5, 0)
    make_dataset(catalogue, range(20))
    assert counted_images(catalogue, MODEL) == (20, 0)


def encode(catalogue: Catalogue, dataset: Artifact, *, train: int) -> None:
    """Make an encoded dataset without content current."""

    def body(workspace: Workspace) -> Facts:
        (workspace.folder / "encoded").touch()
        return {"train": train}

    read = Input(
        name="image_dataset", partition=STYLE, version=dataset.version, build=dataset.build.key
    )
    target = Target(
        asset="encoded_dataset", partition=MODEL.stored_as, code_version="1", inputs=(read,)
    )
    catalogue.store.build(target, body)
