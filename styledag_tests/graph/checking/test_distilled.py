import pytest

from styledag.graph.checking.distilled import distilled_remark
from styledag.models.reference import ModelReference

KLEIN = "black-forest-labs/FLUX.2-klein-base-4B"


@pytest.mark.parametrize(
    ("model", "denoiser", "named"),
    [
        ("Tongyi-MAI/Z-Image-Turbo", None, "Z-Image-Turbo"),
        ("black-forest-labs/FLUX.1-schnell", None, "FLUX.1-schnell"),
        ("stabilityai/sdxl-turbo", None, "sdxl-turbo"),
        ("stabilityai/stable-diffusion-3.5-large-turbo", None, "stable-diffusion-3.5-large-turbo"),
        ("models/DreamShaperXL_Lightning.safetensors", None, "DreamShaperXL_Lightning.safetensors"),
        ("models/realvis_lcm.safetensors", None, "realvis_lcm.safetensors"),
        ("Tongyi-MAI/Z-Image", "models/z_image_turbo_bf16.safetensors", "z_image_turbo_bf16"),
        (KLEIN, "models/flux-2-klein-4b.safetensors", "flux-2-klein-4b"),
    ],
)
def test_what_is_distilled_by_its_name_is_remarked_on(
    model: str, denoiser: str | None, named: str
) -> None:
    remark = distilled_remark(ModelReference(model=model, revision="main", denoiser=denoiser))
    assert remark.startswith(f"; {named}")
    assert "training undoes that: train the base that it was made from" in remark


@pytest.mark.parametrize(
    ("model", "denoiser"),
    [
        (KLEIN, None),
        ("black-forest-labs/FLUX.1-Krea-dev", None),
        (KLEIN, "models/flux-2-klein-base-4b.safetensors"),
        ("Tongyi-MAI/Z-Image", "models/z_image_de_turbo_v1_bf16.safetensors"),
        ("turbo/stable-diffusion-v1-5", None),
        ("models/hyperrealism-flashback.safetensors", None),
        ("stabilityai/stable-diffusion-xl-base-1.0", None),
        ("Efficient-Large-Model/Sana_1600M_1024px_BF16_diffusers", None),
    ],
)
def test_nothing_is_said_of_others(model: str, denoiser: str | None) -> None:
    assert not distilled_remark(ModelReference(model=model, revision="main", denoiser=denoiser))
