"""The judges come back from their files as they were, and know whose and what an image is."""

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification

from styledag.demo.judge import ARTIST_NAMES, ArtistJudge
from tools.starter.artist_judge import load_artist_judge, save_artist_judge, share_of_artist
from tools.starter.artist_judge_recipe import JudgeDrawings, train_artist_judge
from tools.starter.clip import build_clip
from tools.starter.loop import LoopSettings
from tools.starter.subject_judge import SubjectJudge, load_subject_judge, save_subject_judge
from tools.starter.vocabulary import clip_tokenizer

SETTINGS = LoopSettings(
    name="artists", steps=15, learning_rate=1e-2, warmup_steps=1, decay_steps=5, ema_decay=0.8,
    bfloat16=False,
)  # fmt: skip


def flat(*colour: int) -> torch.Tensor:
    """Return 6 images of one colour, uint8, BCHW."""
    return torch.tensor(colour, dtype=torch.uint8)[None, :, None, None].expand(6, 3, 64, 64)


@pytest.fixture
def subjects() -> SubjectJudge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        clip = build_clip(clip_tokenizer())
        embeddings = torch.nn.functional.normalize(torch.randn(7, 128), dim=-1)
    return SubjectJudge(clip, ("rocket", "car", "key", "axe", "bus", "ship", "lock"), embeddings)


def test_artists_are_told_apart_by_their_colours(tmp_path: Path) -> None:
    drawings = dict(
        zip(ARTIST_NAMES, (flat(250, 20, 20), flat(20, 250, 20), flat(20, 20, 250)), strict=True)
    )
    train = partial(train_artist_judge, settings=SETTINGS, device=torch.device("cpu"))
    judge = train(lambda: JudgeDrawings(drawings, drawings), tmp_path)
    for artist, name in enumerate(ARTIST_NAMES):
        assert share_of_artist(judge, drawings[name].float() / 255, artist) == 1
    again = train(lambda: pytest.fail("nothing is drawn for a judge that is trained"), tmp_path)
    torch.testing.assert_close(again.state_dict(), judge.state_dict(), rtol=0, atol=0)


def test_every_name_is_among_as_many_nearest_as_there_are(subjects: SubjectJudge) -> None:
    pixels = torch.rand(7, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    names = list(subjects.names)
    assert subjects.recognised(pixels, names, top=7).all()
    nearest = [subjects.recognised(pixels, [name] * 7, top=1) for name in names]
    assert (torch.stack(nearest).sum(dim=0) == 1).all()


def test_a_kept_judge_of_artists_says_the_same_to_transformers(tmp_path: Path) -> None:
    judge = ArtistJudge().eval()
    pixels = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = judge(pixels).logits
    save_artist_judge(judge, tmp_path)
    classifier = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
    processor = AutoImageProcessor.from_pretrained(tmp_path, backend="pil")
    images = [
        Image.fromarray((one * 255).round().byte().permute(1, 2, 0).numpy()) for one in pixels
    ]
    with torch.no_grad():
        for again in (load_artist_judge(tmp_path), classifier):
            torch.testing.assert_close(again(pixels).logits, expected, atol=2e-2, rtol=0)
        said = classifier(**processor(images, return_tensors="pt")).logits
    torch.testing.assert_close(said, expected, atol=0.1, rtol=0)
    assert tuple(classifier.config.id2label.values()) == ARTIST_NAMES


def test_a_kept_judge_of_subjects_says_the_same(tmp_path: Path, subjects: SubjectJudge) -> None:
    save_subject_judge(subjects, tmp_path / "judge.safetensors")
    again = load_subject_judge(tmp_path / "judge.safetensors")
    pixels = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert again.names == subjects.names
    asked = ["rocket", "car", "key", "axe", "bus"]
    expected = subjects.recognised(pixels, asked, top=3)
    assert torch.equal(again.recognised(pixels, asked, top=3), expected)
