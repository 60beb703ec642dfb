from pathlib import Path

import pytest
import torch

from styledag.captions.florence import FlorenceCaptioner
from styledag.captions.settings import CaptionSettings
from styledag.models.compute import Compute
from styledag.models.reference import ModelReference
from styledag_tests.captions.tiny_captioners import save_florence
from styledag_tests.images.images import noisy

CPU = Compute(torch.device("cpu"), torch.float32)
SETTINGS = CaptionSettings(captioner=ModelReference(model="x"), num_beams=1, max_new_tokens=6)
IMAGES = [noisy(seed, (40 + 8 * seed, 48)) for seed in range(5)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_florence(tmp_path_factory.mktemp("florence"))


@pytest.mark.parametrize("task", ["caption", "more_detailed_caption"])
def test_a_batch_is_what_transformers_gives_one_by_one(folder: Path, task: str) -> None:
    from transformers import Florence2ForConditionalGeneration, Florence2Processor

    model = Florence2ForConditionalGeneration.from_pretrained(folder).eval()
    processor = Florence2Processor.from_pretrained(folder)
    token = f"<{task.upper()}>"
    expected = []
    for image in IMAGES:
        inputs = processor(text=token, images=image, return_tensors="pt")
        tokens = model.generate(
            **inputs,
            do_sample=False,
            num_beams=1,
            max_new_tokens=6,
            repetition_penalty=SETTINGS.repetition_penalty,
            no_repeat_ngram_size=SETTINGS.no_repeat_ngram_size,
        )
        expected.append(processor.decode(tokens[0], skip_special_tokens=True).strip())
    settings = CaptionSettings(
        captioner=ModelReference(model="x"), num_beams=1, max_new_tokens=6, task=task
    )
    captions = FlorenceCaptioner(folder, "v1", CPU)(IMAGES, settings)
    assert captions == expected
    assert len(set(captions)) > 1


def test_the_task_is_part_of_its_identity(folder: Path) -> None:
    captioner = FlorenceCaptioner(folder, "v1", CPU)
    assert captioner.identity(SETTINGS)["task"] == "caption"
