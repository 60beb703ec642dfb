from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from styledag.scoring.style_learned import heldout_images, style_learned
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag.training.encoding.dataset import EncodedDataset
from styledag_tests.training.conftest import encode_samples, make_samples


def test_it_is_the_share_of_the_bases_loss_that_is_gone() -> None:
    base = np.full((3, 8), 0.5)
    counts = np.array([1, 1, 1])
    assert style_learned(base, base)(counts) == pytest.approx(0)
    assert style_learned(0.4 * base, base)(counts) == pytest.approx(0.6)
    assert style_learned(1.5 * base, base)(counts) == pytest.approx(-0.5)
    assert style_learned(base, 0 * base)(counts) is None


def test_each_family_gives_one_held_out_image_before_any_gives_two(
    base: Path, store: Store, workspace: Workspace
) -> None:
    families = ["clock", "clock", "clock", "", "moon", "moon"]
    samples = [
        replace(each, family=family if each.split == "validation" else "")
        for each, family in zip(
            make_samples(store, 8, validation=6), ["", "", *families], strict=True
        )
    ]
    encode_samples(samples, base, workspace)
    encoded = EncodedDataset.open(workspace.folder)
    first = heldout_images(encoded, 3)
    assert {each.group for each in first} == {"clock", "moon", samples[5].id}
    everything = heldout_images(encoded, 100)
    assert {each.sha256 for each in everything} == {each.id for each in samples[2:]}
    assert [each.group for each in everything].count("clock") == 3
    for image in everything:
        sample = next(each for each in encoded.validation if each.id == image.sha256)
        assert image.text == encoded.captions[sample.captions[0]]
        mean = encoded.moments[sample.bucket].mean[sample.row, 0]
        torch.testing.assert_close(image.latents(), 0.5 * mean.float())
