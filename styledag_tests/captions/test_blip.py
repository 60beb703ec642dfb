from pathlib import Path

import pytest
import torch
from PIL import Image

from styledag.captions.blip import BlipCaptioner
from styledag.captions.settings import CaptionSettings
from styledag.errors import ModelError
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference
from styledag_tests.captions.images import COLOURS

CPU = Compute(torch.device("cpu"), torch.float32)
BLIP = ModelReference(model="starter/blip")
IMAGES = [Image.new("RGB", (64, 64), colour) for colour in COLOURS[:4]]


@pytest.fixture(scope="module")
def captioner(starter: Path) -> BlipCaptioner:
    return BlipCaptioner(starter / "blip", "v1", CPU)


def reference(loaded, image: Image.Image, prefix: str = "", **decoding) -> str:
    """One image, as the model's documentation shows it."""
    processor, model = loaded
    words = {"text": prefix} if prefix else {}
    tokens = model.generate(**processor(images=image, return_tensors="pt", **words), **decoding)
    return processor.decode(tokens[0], skip_special_tokens=True)


@pytest.mark.parametrize("prefix", ["", "a drawing of"])
def test_batch_says_what_transformers_says_one_by_one(
    starter: Path, captioner: BlipCaptioner, prefix: str
) -> None:
    from transformers import BlipForConditionalGeneration, BlipProcessor

    settings = CaptionSettings(captioner=BLIP, prefix=prefix, max_new_tokens=8)
    said = captioner(IMAGES, settings)
    loaded = (
        BlipProcessor.from_pretrained(starter / "blip"),
        BlipForConditionalGeneration.from_pretrained(starter / "blip"),
    )
    for image, caption in zip(IMAGES, said, strict=True):
        alone = reference(
            loaded,
            image,
            prefix,
            max_new_tokens=8,
            num_beams=3,
            repetition_penalty=1.2,
            no_repeat_ngram_size=3,
        )
        assert alone.startswith(prefix)
        assert (
            caption.replace("##", "").strip()
            == alone.removeprefix(prefix).replace("##", "").strip()
        )


def test_settings_of_decoding_are_heard(captioner: BlipCaptioner) -> None:
    short = captioner(IMAGES[:1], CaptionSettings(captioner=BLIP, max_new_tokens=2))
    long = captioner(IMAGES[:1], CaptionSettings(captioner=BLIP, max_new_tokens=20))
    assert len(short[0].split()) < len(long[0].split())


def test_nothing_is_loaded_before_it_is_asked(tmp_path: Path) -> None:
    captioner = BlipCaptioner(tmp_path / "nowhere", "v1", CPU)
    assert captioner.version.startswith("v1/")
    with pytest.raises(ModelError, match="nowhere"):
        captioner(IMAGES[:1], CaptionSettings(captioner=BLIP))


def test_another_model_is_refused(starter: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded as a captioner"):
        BlipCaptioner(starter / "clip", "v1", CPU)(IMAGES[:1], CaptionSettings(captioner=BLIP))
