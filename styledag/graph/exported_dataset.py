"""A style's dataset for other trainers: which version, and the settings that go with it."""

from styledag.bases.flow_transformer import FlowTransformer
from styledag.errors import ArtifactMissingError, LineageError
from styledag.graph.catalogue import Catalogue
from styledag.graph.names import Partition
from styledag.models.config import read_config
from styledag.publishing.datasets.settings import Predicts, TrainerSettings
from styledag.store.artifact import Artifact
from styledag.store.store import Store

DATASET = "image_dataset"
_SAME = (
    "caption_dropout",
    "epochs",
    "batch_size",
    "gradient_accumulation",
    "learning_rate",
    "lr_schedule",
    "lr_warmup_steps",
    "optimizer",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "weight_decay",
    "max_grad_norm",
    "min_snr_gamma",
    "noise_offset",
    "seed",
)
"""Settings of a recipe that have the same name there."""


def find_dataset(store: Store, style: str, version: str = "") -> Artifact:
    """Return a style's dataset: the current one, or that whose version begins with some digits.

    Raises:
        ArtifactMissingError: If there is none.
        LineageError: If several versions begin so.
    """
    if not version:
        return store.require(DATASET, style)
    versions = store.versions(DATASET, style)
    found = [each for each in versions if each.startswith(version)]
    if not found:
        raise ArtifactMissingError(
            f"{DATASET} of {style} has no version {version}: {_listed(versions)}"
        )
    if len(found) > 1:
        raise LineageError(
            f"{len(found)} versions of {DATASET} of {style} begin with {version}: {_listed(found)}"
        )
    return store.by_version(DATASET, style, found[0])


def find_previous_dataset(store: Store, style: str) -> Artifact:
    """Return the newest of a style's datasets that is not the current one.

    Raises:
        ArtifactMissingError: If there is no dataset, or only the current one.
    """
    current = find_dataset(store, style)
    others = [each for each in store.versions(DATASET, style) if each != current.version]
    if not others:
        raise ArtifactMissingError(
            f"{DATASET} of {style} has one version only, {current.version[:12]}: there is nothing "
            "to compare it with"
        )
    return store.by_version(DATASET, style, others[-1])


def trainer_settings(catalogue: Catalogue, style: str, recipe: str = "") -> TrainerSettings:
    """Return what a style file, with one of its recipes, states that other trainers have keys for.

    Raises:
        StyleFileError: If there is no such style or recipe.
        ModelError: If the base's configurations cannot be read.
    """
    declared = catalogue.style(style)
    recipe = recipe or next(iter(declared.recipes))
    training = catalogue.declaration(Partition(style, recipe)).recipe
    base = catalogue.base(declared.base)
    schedule = read_config(base.folder / "scheduler" / "scheduler_config.json")
    predicts: Predicts = "v" if schedule.get("prediction_type") == "v_prediction" else "noise"
    is_here = catalogue.path(declared.base.model).exists()
    return TrainerSettings(
        base=str(base.folder.absolute()) if is_here else declared.base.model,
        denoiser=declared.base.denoiser or "",
        family=base.family,
        elsewhere=base.elsewhere,
        text_encoders=tuple(
            part for part in base.parts.beside_denoiser if part != base.parts.autoencoder
        ),
        predicts="flow" if isinstance(base, FlowTransformer) else predicts,
        zero_snr=bool(schedule.get("rescale_betas_zero_snr")),
        name=style,
        resolution_px=declared.images.size_px,
        flip=training.horizontal_flip,
        lora_rank=None if training.lora is None else training.lora.rank,
        lora_alpha=None if training.lora is None else training.lora.alpha,
        **{name: getattr(training, name) for name in _SAME},
    )


def _listed(versions: list[str]) -> str:
    return ", ".join(each[:12] for each in versions) or "the store contains none"
