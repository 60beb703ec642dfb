from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from styledag.errors import ModelError
from styledag.publishing.single_file.check import check_names
from styledag.publishing.single_file.parts import open_parts


def test_exchanged_names_are_refused(pipeline: Path) -> None:
    with ExitStack() as stack:
        parts = open_parts(pipeline, stack)
        tensors = parts.tensors()
    check_names(tensors, parts.configs)
    by_name = {tensor.name: tensor for tensor in tensors}
    first, second = (
        by_name[f"model.diffusion_model.input_blocks.{block}.0.in_layers.0.bias"]
        for block in (1, 2)
    )
    others = [tensor for tensor in tensors if tensor not in (first, second)]
    exchanged = [replace(first, name=second.name), replace(second, name=first.name)]

    with pytest.raises(ModelError, match="does not come back"):
        check_names([*others, *exchanged], parts.configs)
    with pytest.raises(ModelError):
        check_names(
            [*others, first, replace(second, name="model.diffusion_model.x")], parts.configs
        )


def test_stacked_parts_in_another_order_are_refused(second_pipeline: Path) -> None:
    with ExitStack() as stack:
        parts = open_parts(second_pipeline, stack)
        tensors = parts.tensors()
    stacked = next(tensor for tensor in tensors if len(tensor.sources) == 3)
    others = [tensor for tensor in tensors if tensor is not stacked]

    with pytest.raises(ModelError, match="does not come back"):
        check_names([*others, replace(stacked, sources=stacked.sources[::-1])], parts.configs)
