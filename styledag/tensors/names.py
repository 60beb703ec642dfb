"""Names of tensors in files that older releases of diffusers wrote."""

import re

_ATTENTION = re.compile(r"(\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.)")
_MODEL_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def model_name(file_name: str) -> str:
    """Return the name that diffusers' model has for a tensor of a file.

    Autoencoders that were saved before diffusers 0.17, as that of Stable Diffusion 1.5 on the Hub,
    have older names for their attention, which diffusers reads.
    """
    return _ATTENTION.sub(lambda found: found[1] + _MODEL_NAMES[found[2]], file_name)
