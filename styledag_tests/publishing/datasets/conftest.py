from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from styledag.bases.flux2_klein import Flux2Klein
from styledag.bases.sana import Sana
from styledag.bases.stable_diffusion import FIRST, SECOND
from styledag.bases.stable_diffusion_3 import StableDiffusion3
from styledag.bases.stable_diffusion_xl import StableDiffusionXL
from styledag.bases.z_image import ZImage
from styledag.captions.records import CaptionedImage
from styledag.dataset.read import read_dataset
from styledag.publishing.datasets.settings import TrainerSettings
from styledag.store.workspace import Workspace
from styledag_tests.dataset.captioned import captioned_image
from styledag_tests.publishing.datasets.built import build_dataset

HOSTILE = 'a {red|blue} "sign", it\'s 50% [trigger] \\n <b>é שלום 🫨'
KINDS: dict[str, dict[str, Any]] = {
    "sd1": {"elsewhere": FIRST, "predicts": "noise"},
    "sd2-v": {"elsewhere": SECOND, "predicts": "v"},
    "sdxl": {
        "elsewhere": StableDiffusionXL.elsewhere,
        "predicts": "noise",
        "text_encoders": ("text_encoder", "text_encoder_2"),
    },
    "sd3": {"elsewhere": StableDiffusion3.elsewhere, "predicts": "flow"},
    "flux2-klein": {"elsewhere": Flux2Klein.elsewhere, "predicts": "flow"},
    "z-image": {"elsewhere": ZImage.elsewhere, "predicts": "flow"},
    "sana": {"elsewhere": Sana.elsewhere, "predicts": "flow"},
}


def of(kind: str, settings: TrainerSettings, **changed: Any) -> TrainerSettings:
    """Return settings for a base of another kind, with other changes."""
    return replace(settings, **{"family": kind, **KINDS[kind], **changed})


@dataclass(frozen=True)
class Example:
    """A dataset's folder, and what it contains by split."""

    folder: Path
    splits: dict[str, dict[str, CaptionedImage]]
    workspace: Workspace

    def jpeg(self, id_: str) -> bytes:
        return self.workspace.blobs.read(id_)


@pytest.fixture
def example(workspace: Workspace, tmp_path: Path) -> Example:
    """Twelve images in both splits, one with a caption that no trainer may misread."""
    images = [captioned_image(workspace, number, family=f"f{number}") for number in range(12)]
    images[3] = replace(images[3], caption=HOSTILE)
    folder = build_dataset(workspace, tmp_path / "dataset", images, validation_share=0.3)
    by_id = {image.image.sha256: image for image in images}
    splits: dict[str, dict[str, CaptionedImage]] = {"train": {}, "validation": {}}
    for row in read_dataset(folder):
        splits[row.split][row.id] = by_id[row.id]
    assert all(splits.values())
    return Example(folder, splits, workspace)


@pytest.fixture
def settings() -> TrainerSettings:
    return TrainerSettings(
        base="stable-diffusion-v1-5/stable-diffusion-v1-5",
        family="sd1",
        text_encoders=("text_encoder",),
        **KINDS["sd1"],
        name="numbers",
        resolution_px=768,
        repeats=3,
        flip=True,
        caption_dropout=0.25,
        epochs=5,
        batch_size=4,
        learning_rate=2e-5,
        seed=7,
    )
