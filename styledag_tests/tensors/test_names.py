import pytest

from styledag.tensors.names import model_name


@pytest.mark.parametrize(
    ("file_name", "expected"),
    [
        (
            "decoder.mid_block.attentions.0.query.weight",
            "decoder.mid_block.attentions.0.to_q.weight",
        ),
        ("encoder.mid_block.attentions.0.key.bias", "encoder.mid_block.attentions.0.to_k.bias"),
        ("down_blocks.1.attentions.1.value.bias", "down_blocks.1.attentions.1.to_v.bias"),
        ("mid_block.attentions.0.proj_attn.weight", "mid_block.attentions.0.to_out.0.weight"),
        ("mid_block.attentions.0.to_q.weight", "mid_block.attentions.0.to_q.weight"),
        ("mid_block.attentions.0.group_norm.bias", "mid_block.attentions.0.group_norm.bias"),
        ("transformer.key.weight", "transformer.key.weight"),
    ],
)
def test_old_names_of_attention_are_the_models(file_name: str, expected: str) -> None:
    assert model_name(file_name) == expected
