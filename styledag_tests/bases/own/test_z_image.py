"""What is Z-Image's own; what it shares with all families is in test_families.py."""

from pathlib import Path

import torch

from styledag.bases.find import find_base
from styledag.bases.z_image import MASK, STATES
from styledag_tests.bases.families.z_image import FAMILY


def test_what_fills_a_text_up_is_neither_kept_nor_read(tmp_path: Path) -> None:
    base = find_base(FAMILY.write(tmp_path / "z", tmp_path))
    given = base.text_encoder().encode(["a cat", "a much longer text about a dog"])
    lengths = given[MASK].sum(1).tolist()
    assert lengths == [
        base.tokens.count("a cat"),
        base.tokens.count("a much longer text about a dog"),
    ]
    assert lengths[0] < lengths[1]
    assert not given[STATES][0, lengths[0] :].any()
    latents = torch.randn(2, *base.latents.shape(width_px=16, height_px=16))
    denoiser, timestep = base.denoiser(), torch.tensor(300.0)
    with torch.no_grad():
        expected = base.predict(denoiser, latents, timestep, given)
        given.tensors[STATES][0, lengths[0] :] = 7.0
        assert torch.equal(base.predict(denoiser, latents, timestep, given), expected)
        given.tensors[STATES][0, 0] = 7.0
        assert not torch.equal(base.predict(denoiser, latents, timestep, given), expected)
