"""What each base takes, by its configuration alone: ``python -m benchmarks.families``.

Prints the table of ``docs/training.md``: device memory as ``styledag doctor`` predicts it on a GPU,
and the images a second that the FLOPs of a full fine-tune allow. Nothing is trained.
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks.speed.architectures import ARCHITECTURES, write_architecture
from benchmarks.speed.family import PEAK_FLOPS
from styledag.bases.find import find_base
from styledag.models.compute import Compute
from styledag.training.estimating.dry_pass import dry_pass, text_encoder_bytes
from styledag.training.estimating.estimate import PlannedTraining, device_bytes
from styledag.training.recipe import EmaSettings, LoraSettings, Recipe

HEAD = (
    "base",
    "size",
    "parameters",
    "all weights",
    "LoRA",
    "LoRA, 8 / 4 bits",
    "text encoders",
    "limit of one H100",
    "goal",
    "measured",
)
_GB, _GIGA = 1e9, 1e9
_COMPUTE = Compute(torch.device("cuda", 0), torch.bfloat16)
_FULL = Recipe(
    trained="unet",
    weights="bfloat16",
    optimizer="adafactor",
    gradient_checkpointing=True,
    batch_size=2,
    ema=EmaSettings(mode="base", base_share=0.2),
    ema_on_cpu=True,
)
_LORA = LoraSettings(rank=32, alpha=32)
_ADAPTERS = replace(_FULL, trained="attention", optimizer="adamw", ema_on_cpu=False, lora=_LORA)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one base takes.

    Attributes:
        name: As in ``styledag new --base``.
        side_px: Side of the images that it was made for.
        parameters: Elements of its denoiser.
        full_gb: Device memory for all weights.
        lora_gb: The same for adapters, by the bits of the frozen base: 16, 8 and 4.
        text_gb: Device memory for the text encoders, before training.
        limit: Images a second that an H100 computes forward and back, recomputing nothing.
    """

    name: str
    side_px: int
    parameters: int
    full_gb: float
    lora_gb: tuple[float, float, float]
    text_gb: float
    limit: float

    def cells(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        whole, *quantised = (f"{each:.1f}" for each in self.lora_gb)
        return (
            ARCHITECTURES[self.name].title,
            f"{self.side_px} px",
            f"{self.parameters / _GIGA:.1f} G",
            f"{self.full_gb:.1f} GB",
            f"{whole} GB",
            f"{' / '.join(quantised)} GB",
            f"{self.text_gb:.1f} GB",
            f"{self.limit:.2g} images/s" if self.limit < 100 else f"{self.limit:.0f} images/s",
            f"{ARCHITECTURES[self.name].goal:g}",
            "not yet",
        )


def taken_by(name: str, work: Path) -> Taken:
    """Return what one base takes.

    Args:
        name: As in ``styledag new --base``.
        work: Folder for its configurations.
    """
    folder = write_architecture(name, work / name, small=False)
    base = find_base(folder)
    width_px, height_px = base.size_px
    shape = base.latents.shape(width_px=width_px, height_px=height_px)

    def gigabytes(recipe: Recipe) -> float:
        planned = PlannedTraining(base=folder, recipe=recipe, compute=_COMPUTE, latents={shape: 1})
        return sum(device_bytes(planned).values()) / _GB

    whole, eight, four = (
        gigabytes(replace(_ADAPTERS, lora=replace(_LORA, base_bits=bits))) for bits in (None, 8, 4)
    )
    one = dry_pass(
        folder,
        Recipe(weights="bfloat16"),
        shape,
        device="cuda",
        dtype=torch.bfloat16,
        batch_size=1,
    )
    return Taken(
        name=name,
        side_px=width_px,
        parameters=one.parameters,
        full_gb=gigabytes(_FULL),
        lora_gb=(whole, eight, four),
        text_gb=text_encoder_bytes(folder, torch.bfloat16) / _GB,
        limit=PEAK_FLOPS / one.flops,
    )


def as_markdown(rows: list[Taken]) -> str:
    """Return the table."""
    lines = [HEAD, ("---",) * len(HEAD), *(each.cells() for each in rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Print the table of the bases that are named, or of all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(ARCHITECTURES)}")
    names = parser.parse_args().names or list(ARCHITECTURES)
    with tempfile.TemporaryDirectory(prefix="styledag-families-") as work:
        print(as_markdown([taken_by(name, Path(work)) for name in names]), end="")


if __name__ == "__main__":
    main()
