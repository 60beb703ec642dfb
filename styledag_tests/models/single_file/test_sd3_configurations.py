"""Stable Diffusion 3.x: the published figures, the published headers and T5's own token ids."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import AutoencoderKL, SD3Transformer2DModel
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5TokenizerFast,
)

from styledag.bases.find import find_base
from styledag.models.config import read_config
from styledag.models.single_file.configurations import write_configuration
from styledag.models.single_file.names import model_name, original_name
from styledag.models.single_file.recognise import Recognised, recognise
from styledag.models.single_file.sd3_configurations import (
    SD3,
    SD35_LARGE,
    SD35_MEDIUM,
    write_t5_tokenizer,
)

PUBLISHED = {SD3: 2_028_328_000, SD35_MEDIUM: 2_243_171_520, SD35_LARGE: 8_056_627_520}
OTHERS = (83_819_683, 123_650_304, 694_659_840, 4_762_310_656)


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_a_file_of_published_sizes_is_known_by_its_tensors(
    architecture: str, tmp_path: Path
) -> None:
    write_configuration(architecture, tmp_path, with_t5=architecture == SD35_MEDIUM)
    configs = {each.parent.name: read_config(each) for each in tmp_path.glob("*/config.json")}
    with torch.device("meta"):
        models = {
            "transformer": SD3Transformer2DModel.from_config(configs["transformer"]),
            "vae": AutoencoderKL.from_config(configs["vae"]),
        }
        for part in ("text_encoder", "text_encoder_2"):
            models[part] = CLIPTextModelWithProjection(CLIPTextConfig(**configs[part]))
        if architecture == SD35_MEDIUM:
            models["text_encoder_3"] = T5EncoderModel(T5Config(**configs["text_encoder_3"]))

    counts = [sum(each.numel() for each in model.parameters()) for model in models.values()]
    assert counts == [PUBLISHED[architecture], *OTHERS[: len(counts) - 1]]
    specs = {
        original_name(part, own, configs): SimpleNamespace(shape=tuple(tensor.shape))
        for part, model in models.items()
        for name, tensor in model.state_dict().items()
        if (own := model_name(part, name)) is not None
    }
    reader = SimpleNamespace(path=Path("some.safetensors"), specs=specs, metadata={})
    assert recognise(reader) == Recognised(architecture)
    assert find_base(tmp_path).family == "Stable Diffusion 3.x"


def test_the_tokenizer_is_t5s(tmp_path: Path) -> None:
    """Ids as Google's ``t5-v1_1-xxl`` gives them, of characters that it writes otherwise too."""
    write_t5_tokenizer(tmp_path)
    tokenizer = T5TokenizerFast.from_pretrained(tmp_path)
    assert len(tokenizer) == 32_100
    assert tokenizer.model_max_length == 512
    assert tokenizer("a photo of a cat").input_ids == [3, 9, 1202, 13, 3, 9, 1712, 1]
    assert tokenizer("ﬁne  café\n").input_ids == tokenizer("fine café").input_ids
    assert tokenizer("fine café").input_ids == [1399, 11949, 1]
    assert tokenizer("<extra_id_0>").input_ids == [32_099, 1]
    padded = tokenizer("cat", padding="max_length", max_length=4).input_ids
    assert padded == [1712, 1, 0, 0]
