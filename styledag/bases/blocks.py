"""Blocks of a denoiser by their names in style files, and which tensors lie in one."""

from collections.abc import Mapping

from styledag.errors import StyledagError


def prefix_of(
    block: str, blocks: Mapping[str, str], *, setting: str, error: type[StyledagError]
) -> str:
    """Return the prefix of the names of a block's tensors."""
    if block not in blocks:
        raise error(
            f"{setting} names block {block!r}, which the base does not have: name some of "
            f"{', '.join(blocks)}"
        )
    return blocks[block]


def is_in(name: str, prefix: str) -> bool:
    """Return whether a tensor or module of a name lies in the block with a prefix."""
    return f"{name}.".startswith(f"{prefix}.")
