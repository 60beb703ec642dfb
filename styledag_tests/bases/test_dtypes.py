"""Every family's denoiser has and gives the dtype that is asked for, whatever its file has."""

from pathlib import Path

import pytest
import torch

from styledag.bases.find import find_base
from styledag_tests.bases.families import TEXTS, tiny_families

FAMILIES = tiny_families()
DTYPES = (torch.float32, torch.bfloat16)


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_have_the_dtype_that_is_asked_for(name: str, tmp_path: Path, starter: Path) -> None:
    tokenizer = starter / "stable-diffusion" / "tokenizer"
    base = find_base(FAMILIES[name].write(tmp_path / "base", tokenizer))
    shape = base.latents.shape(width_px=24, height_px=16)
    conditioning = base.text_encoder().encode(list(TEXTS[:2]))
    for stored in DTYPES:
        written, folder = base.denoiser(), tmp_path / str(stored)
        for parameter in written.parameters():
            parameter.data = parameter.data.to(stored)
        written.save_pretrained(folder)
        for dtype in DTYPES:
            denoiser = base.denoiser(folder, dtype=dtype)
            assert {each.dtype for each in denoiser.parameters()} == {dtype}
            with torch.inference_mode():
                prediction = base.predict(
                    denoiser,
                    torch.ones(2, *shape, dtype=dtype),
                    torch.tensor([500, 100]),
                    conditioning.to(dtype=dtype),
                )
            assert prediction.dtype == dtype
            assert bool(prediction.isfinite().all())
