import pytest

from styledag.sampling.settings import SampleSettings


def test_a_negative_prompt_without_guidance_is_refused() -> None:
    SampleSettings(prompts=("a fox",), guidance_scale=1.5, negative_prompt="blurry")
    with pytest.raises(ValueError, match="guidance_scale 1 is without guidance"):
        SampleSettings(prompts=("a fox",), guidance_scale=1.0, negative_prompt="blurry")


def test_rescaling_without_guidance_is_refused() -> None:
    SampleSettings(prompts=("a fox",), guidance_scale=1.5, guidance_rescale=0.7)
    with pytest.raises(ValueError, match="guidance_scale 1 is without guidance"):
        SampleSettings(prompts=("a fox",), guidance_scale=1.0, guidance_rescale=0.7)
