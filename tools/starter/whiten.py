"""Bring an autoencoder's latents to one mean and deviation, without changing what it decodes."""

from typing import Any

import torch
from torch import Tensor

from tools.starter.pixels import parts_of


def standardise_latents(vae: Any, pixels: Tensor) -> None:
    """Fold the latents' mean and deviation, channel by channel, into the two 1x1 convolutions.

    Afterwards every channel has mean 0 and one and the same deviation over the images, and the
    configuration's ``scaling_factor`` brings that to 1: the pipeline knows a factor only.

    Args:
        vae: A trained ``AutoencoderKL``, changed in place.
        pixels: Images to measure on, uint8. # BCHW
    """
    device = next(vae.parameters()).device
    with torch.no_grad():
        means = [
            vae.encode(part.to(device).float() / 127.5 - 1).latent_dist.mean
            for part in parts_of(pixels)
        ]
        latents = torch.cat(means)
        mean = latents.mean(dim=(0, 2, 3))
        std = latents.std(dim=(0, 2, 3))
        overall = float(std.square().mean().sqrt())
        gain = overall / std
        channels = len(mean)
        encode, decode = vae.quant_conv, vae.post_quant_conv
        # The first half of the encoder's channels is the mean, the other the log-variance.
        encode.weight[:channels] *= gain[:, None, None, None]
        encode.bias[:channels] = (encode.bias[:channels] - mean) * gain
        encode.bias[channels:] += 2 * gain.log()
        decode.bias += torch.einsum("oihw,i->o", decode.weight, mean)
        decode.weight /= gain[None, :, None, None]
    vae.register_to_config(scaling_factor=1 / overall)
