"""Whether what has changed since a model was trained is worth training it again."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from styledag.dataset.read import read_captions
from styledag.graph.catalogue import Catalogue
from styledag.graph.checks import Checked, failed_errors
from styledag.graph.names import Partition
from styledag.graph.plan import plan_as_recorded
from styledag.graph.status import declared_changes
from styledag.store.artifact import Artifact

IMAGES = "images"
"""Group of the stages that make the images and the dataset."""
TRAINING = "training"
"""Group of the stages that wait until a training is worth it."""
MODEL = "ema_unet"
_ENCODED, _DATASET = "encoded_dataset", "image_dataset"


@dataclass(frozen=True)
class Decision:
    """Whether a model is trained now.

    Attributes:
        kind: ``train``; ``wait`` for more; ``by_hand`` as the style file asks for; ``blocked`` by
            a check of what the training would read.
        why: The reason, for a person.
        changed: Images that are new, gone or captioned otherwise since the last training.
        images: Images of the last training.
        dataset: Version of the dataset that would be trained on; empty where that decides nothing.
    """

    kind: Literal["train", "wait", "by_hand", "blocked"]
    why: str
    changed: int = 0
    images: int = 0
    dataset: str = ""

    @property
    def is_worth(self) -> bool:
        """Whether it is trained now."""
        return self.kind == "train"


def decide_retraining(catalogue: Catalogue, model: Partition, *, age_days: float) -> Decision:
    """Return whether a model is trained now, by its style's ``retrain``.

    Raises:
        StyledagError: If the style file is broken or the dataset is missing.
    """
    retrain = catalogue.declaration(model).style.retrain
    if retrain.by_hand:
        return Decision("by_hand", "the style file leaves training to be started by hand")
    if failed := _failed_checks(catalogue, model):
        return Decision("blocked", f"stopped by {failed}")
    trained = catalogue.store.current(MODEL, model.stored_as)
    if trained is None:
        return Decision("train", "there is no model yet")
    before = _dataset_of(catalogue, trained)
    dataset = catalogue.store.require(_DATASET, model.style)
    old, new = (read_captions(each.folder) for each in (before, dataset))
    changed = sum(old.get(image) != new.get(image) for image in old.keys() | new.keys())
    decided = partial(Decision, changed=changed, images=len(old), dataset=dataset.version)
    settings = _changed_settings(catalogue, model)
    if settings:
        return decided("train", f"changed since the last training: {settings}")
    since = f"{changed} of {len(old)} images changed since dataset {before.version[:12]}"
    if not changed:
        return decided("train", f"{since}, but the dataset did")
    since = f"{since}, {age_days:.1f} days ago"
    if not retrain.worth(changed=changed, images=len(old), age_days=age_days):
        return decided("wait", f"{since}; {retrain.awaited(len(old))}: waiting")
    return decided("train", since)


def _failed_checks(catalogue: Catalogue, model: Partition) -> str:
    """Return which errors the checks of a style's images and dataset find."""
    style, failed = catalogue.style(model.style), []
    for stage in catalogue.stages.values():
        artifact = catalogue.store.current(stage.name, model.style)
        if stage.grain == "style" and artifact is not None:
            found = failed_errors(stage.checks, Checked(artifact, style, catalogue.store))
            failed += [f"{stage.name}: {sentence}" for sentence in found]
    return "; ".join(failed)


def _changed_settings(catalogue: Catalogue, model: Partition) -> str:
    """Return what differs in settings, code and models of the stages of a training."""
    declaration = catalogue.declaration(model)
    changes: list[str] = []
    for stage in catalogue.stages.values():
        if stage.group != TRAINING or stage.grain != "model":
            continue
        current = catalogue.store.current(stage.name, model.stored_as)
        if current is not None:
            plan = plan_as_recorded(catalogue, stage, declaration, current.build.inputs)
            found = declared_changes(current.build, plan.target)
            changes += [f"{change} of {stage.name}" for change in found]
    return ", ".join(changes)


def _dataset_of(catalogue: Catalogue, artifact: Artifact) -> Artifact:
    """Return the dataset that a model was trained with."""
    for name in (_ENCODED, _DATASET):
        read = next(each for each in artifact.build.inputs if each.name == name)
        artifact = catalogue.store.resolve(read)
    return artifact
