"""Pairs from the published checkpoints, ``v1-5-pruned.safetensors`` and ``v2-1_768-ema-pruned``."""

import pytest

from styledag.models.single_file.configurations import V1, write_configuration
from styledag.models.single_file.names import model_name, open_clip_name, unet_name, vae_name
from styledag.publishing.single_file.parts import read_configs


@pytest.fixture(scope="module")
def configs(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("configuration")
    write_configuration(V1, folder)
    return read_configs(folder)


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("conv_in.weight", "input_blocks.0.0.weight"),
        ("time_embedding.linear_2.bias", "time_embed.2.bias"),
        ("down_blocks.0.resnets.0.norm1.weight", "input_blocks.1.0.in_layers.0.weight"),
        ("down_blocks.0.downsamplers.0.conv.bias", "input_blocks.3.0.op.bias"),
        ("down_blocks.1.resnets.0.conv_shortcut.weight", "input_blocks.4.0.skip_connection.weight"),
        ("down_blocks.3.resnets.1.conv2.bias", "input_blocks.11.0.out_layers.3.bias"),
        (
            "down_blocks.2.attentions.1.transformer_blocks.0.ff.net.0.proj.weight",
            "input_blocks.8.1.transformer_blocks.0.ff.net.0.proj.weight",
        ),
        ("mid_block.resnets.1.time_emb_proj.weight", "middle_block.2.emb_layers.1.weight"),
        ("mid_block.attentions.0.norm.bias", "middle_block.1.norm.bias"),
        ("up_blocks.0.upsamplers.0.conv.weight", "output_blocks.2.1.conv.weight"),
        ("up_blocks.1.upsamplers.0.conv.weight", "output_blocks.5.2.conv.weight"),
        ("up_blocks.3.attentions.2.proj_out.weight", "output_blocks.11.1.proj_out.weight"),
        ("conv_norm_out.weight", "out.0.weight"),
    ],
)
def test_tensors_of_the_unet(name: str, original: str, configs: dict) -> None:
    assert unet_name(name, configs["unet"]) == f"model.diffusion_model.{original}"


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("encoder.conv_in.weight", "encoder.conv_in.weight"),
        (
            "encoder.down_blocks.1.resnets.0.conv_shortcut.bias",
            "encoder.down.1.block.0.nin_shortcut.bias",
        ),
        (
            "encoder.down_blocks.2.downsamplers.0.conv.weight",
            "encoder.down.2.downsample.conv.weight",
        ),
        ("encoder.mid_block.attentions.0.group_norm.bias", "encoder.mid.attn_1.norm.bias"),
        ("decoder.mid_block.attentions.0.to_out.0.weight", "decoder.mid.attn_1.proj_out.weight"),
        ("decoder.mid_block.resnets.1.norm2.weight", "decoder.mid.block_2.norm2.weight"),
        ("decoder.up_blocks.0.resnets.2.conv1.weight", "decoder.up.3.block.2.conv1.weight"),
        ("decoder.up_blocks.2.upsamplers.0.conv.bias", "decoder.up.1.upsample.conv.bias"),
        ("decoder.conv_norm_out.weight", "decoder.norm_out.weight"),
        ("post_quant_conv.bias", "post_quant_conv.bias"),
    ],
)
def test_tensors_of_the_autoencoder(name: str, original: str, configs: dict) -> None:
    assert vae_name(name, configs["vae"]) == f"first_stage_model.{original}"


@pytest.mark.parametrize(
    ("name", "original"),
    [
        ("embeddings.token_embedding.weight", "token_embedding.weight"),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("encoder.layers.7.layer_norm2.bias", "transformer.resblocks.7.ln_2.bias"),
        ("encoder.layers.7.self_attn.k_proj.weight", "transformer.resblocks.7.attn.in_proj_weight"),
        ("encoder.layers.7.self_attn.out_proj.bias", "transformer.resblocks.7.attn.out_proj.bias"),
        ("encoder.layers.22.mlp.fc2.weight", "transformer.resblocks.22.mlp.c_proj.weight"),
        ("final_layer_norm.weight", "ln_final.weight"),
    ],
)
def test_tensors_of_open_clip(name: str, original: str) -> None:
    assert open_clip_name(f"text_model.{name}") == original


@pytest.mark.parametrize(
    "name", ["time_embedding.cond_proj.weight", "mid_block.attentions.1.norm.bias", "nonsense"]
)
def test_a_tensor_without_an_original_name_is_refused(name: str, configs: dict) -> None:
    with pytest.raises((KeyError, ValueError)):
        unet_name(name, configs["unet"])


def test_names_in_older_files() -> None:
    attention = "encoder.mid_block.attentions.0"
    assert model_name("vae", f"{attention}.proj_attn.weight") == f"{attention}.to_out.0.weight"
    assert model_name("vae", f"{attention}.query.bias") == f"{attention}.to_q.bias"
    assert model_name("vae", f"{attention}.to_out.0.bias") == f"{attention}.to_out.0.bias"
    assert model_name("text_encoder", "final_layer_norm.bias") == "text_model.final_layer_norm.bias"
    assert model_name("text_encoder", "text_model.embeddings.position_ids") is None
