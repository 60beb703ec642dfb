"""Whether a training is so long that compiling the denoiser pays."""

from styledag.bases.compiled import PAYS_FROM_FLOPS
from styledag.training.estimating.estimate import PlannedTraining, training_flops


def pays(planned: PlannedTraining) -> bool:
    """Return whether compiling saves more time than it takes."""
    if planned.recipe.base_bits is not None:
        return False  # a graph ends at each of bitsandbytes' kernels
    return training_flops(planned) >= PAYS_FROM_FLOPS
