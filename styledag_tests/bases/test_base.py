import pytest
import torch

from styledag.bases.base import check_length
from styledag.bases.conditioning import Conditioning
from styledag.bases.latents import LatentScale, LatentSpace
from styledag.errors import DataError, StyleFileError


def conditioning(texts: int) -> Conditioning:
    return Conditioning(
        {
            "states": torch.arange(texts * 6.0).reshape(texts, 3, 2),
            "mask": torch.arange(texts * 3).reshape(texts, 3) % 2 == 0,
        }
    )


def test_rows_are_selected_and_joined_alike_in_all_tensors() -> None:
    three = conditioning(3)
    assert len(three) == 3
    rows = three.select([2, 0, 2])
    for name, each in rows.tensors.items():
        assert torch.equal(each, torch.stack([three[name][at] for at in (2, 0, 2)]))
    joined = Conditioning.concatenated([three.select([0]), three.select(torch.tensor([1, 2]))])
    for name, each in joined.tensors.items():
        assert torch.equal(each, three[name])


def test_a_dtype_changes_states_and_leaves_masks() -> None:
    moved = conditioning(2).to(torch.device("cpu"), torch.bfloat16)
    assert moved["states"].dtype == torch.bfloat16
    assert moved["mask"].dtype == torch.bool
    assert conditioning(2).to(torch.device("cpu"))["states"].dtype == torch.float32


def test_latents_are_shifted_and_scaled_both_ways() -> None:
    latents = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    scale = LatentScale(1.5305, 0.0609)
    torch.testing.assert_close(scale.scale(latents), (latents - 0.0609) * 1.5305)
    torch.testing.assert_close(scale.unscale(scale.scale(latents)), latents)
    plain = LatentScale(0.18215)
    assert torch.equal(plain.scale(latents), latents * 0.18215)
    assert torch.equal(plain.unscale(latents), latents / 0.18215)


def test_sizes_that_do_not_fit_are_refused() -> None:
    space = LatentSpace(channels=16, factor_px=8, multiple_px=16, scale=LatentScale(1.0))
    assert space.shape(width_px=64, height_px=32) == (16, 4, 8)
    with pytest.raises(DataError, match=r"64x40 px .* multiples of 16 px"):
        space.shape(width_px=64, height_px=40)


class Words:
    limit = 3

    def count(self, text: str) -> int:
        return len(text.split())

    def backends(self) -> tuple[()]:
        return ()


def test_a_text_that_is_too_long_is_named() -> None:
    check_length("one two three", Words(), called="prompt", error=StyleFileError)
    with pytest.raises(StyleFileError, match=r"prompt 'a b c d' is 4 tokens .* reads 3"):
        check_length("a b c d", Words(), called="prompt", error=StyleFileError)
