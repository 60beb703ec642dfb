"""Whether what has changed since a model was trained is worth training it again."""

from dataclasses import dataclass

from styledag.dataset.read import read_captions
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.graph.stage import Settings
from styledag.settings import canonical_json
from styledag.store.artifact import Artifact

TRAINING = "training"
"""Group of the stages that wait until a training is worth it."""
MODEL = "ema_unet"
_ENCODED, _DATASET = "encoded_dataset", "image_dataset"


@dataclass(frozen=True)
class Decision:
    """Whether a model is trained now.

    Attributes:
        is_worth: Whether it is.
        why: The reason, for a person.
        changed: Images that are new, gone or captioned otherwise since the last training.
        images: Images of the last training.
    """

    is_worth: bool
    why: str
    changed: int = 0
    images: int = 0


def decide_retraining(catalogue: Catalogue, model: Partition, *, age_days: float) -> Decision:
    """Return whether a model is trained now, by its style's ``retrain``.

    Args:
        catalogue: Stages, styles, models and artifacts.
        model: The model's partition.
        age_days: Days since it was trained last.

    Raises:
        StyledagError: If the style file is broken or the dataset is missing.
    """
    declaration = catalogue.declaration(model)
    retrain = declaration.style.retrain
    if retrain.by_hand:
        return Decision(False, "the style file leaves training to be started by hand")
    trained = catalogue.store.current(MODEL, model.stored_as)
    if trained is None:
        return Decision(True, "there is no model yet")
    for stage in catalogue.stages.values():
        if stage.group == TRAINING and stage.grain == "model":
            current = catalogue.store.current(stage.name, model.stored_as)
            if current is not None and _settings_differ(current, stage.settings(declaration)):
                return Decision(True, f"the settings of {stage.name} have changed")
    dataset = catalogue.store.require(_DATASET, model.style)
    before = _dataset_of(catalogue, trained)
    old, new = (read_captions(each.folder) for each in (before, dataset))
    changed = sum(old.get(image) != new.get(image) for image in old.keys() | new.keys())
    since = f"{changed} of {len(old)} images changed since dataset {before.version[:12]}"
    if not changed:
        return Decision(True, f"{since}, but what the training reads has", 0, len(old))
    is_worth = retrain.worth(changed=changed, images=len(old), age_days=age_days)
    waits = "" if is_worth else ": not enough by the style file's retrain, waiting for more"
    return Decision(is_worth, f"{since}, {age_days:.1f} days ago{waits}", changed, len(old))


def _settings_differ(artifact: Artifact, settings: Settings) -> bool:
    return canonical_json(artifact.build.settings) != canonical_json(settings.identity)


def _dataset_of(catalogue: Catalogue, artifact: Artifact) -> Artifact:
    """Return the dataset that a model was trained with."""
    for name in (_ENCODED, _DATASET):
        read = next(each for each in artifact.build.inputs if each.name == name)
        artifact = catalogue.store.resolve(read)
    return artifact
