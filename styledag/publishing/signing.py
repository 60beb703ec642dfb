"""Sign a PNG that a model drew with C2PA content credentials, by the extra ``c2pa-python``.

https://spec.c2pa.org/specifications/specifications/2.2/specs/C2PA_Specification.html
"""

import io
import json
from pathlib import Path
from typing import Literal

from styledag import __version__
from styledag.errors import PublishError
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA
from styledag.store.files import storage_errors

Algorithm = Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"]


def sign_png(
    content: bytes,
    *,
    title: str,
    certificates: Path,
    key: Path,
    algorithm: Algorithm,
    timestamp_url: str | None = None,
) -> bytes:
    """Return a PNG with a signed manifest that declares it as made by a trained model.

    Its pixels and chunks stay. A signature contains a random part, so that signing twice gives two
    files.

    Args:
        content: The PNG.
        title: What the manifest calls it.
        certificates: PEM file: the signer's certificate, then those up to its authority's.
        key: PEM file of the signer's private key (PKCS #8).
        algorithm: Of the key.
        timestamp_url: Time-stamping authority that is asked, if any.

    Raises:
        PublishError: If c2pa-python is not installed, or refuses the certificates, key or PNG.
        StorageError: If a file cannot be read.
    """
    try:
        import c2pa
    except ImportError as exc:
        raise PublishError(
            "signing needs c2pa-python, which is not installed: pip install 'styledag[c2pa]'"
        ) from exc
    manifest = {
        "claim_generator_info": [{"name": "styledag", "version": __version__}],
        "title": title,
        "format": "image/png",
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
                        }
                    ]
                },
            }
        ],
    }
    with storage_errors(str(certificates)):
        chain, private_key = certificates.read_bytes(), key.read_bytes()
    signed = io.BytesIO()
    try:
        info = c2pa.C2paSignerInfo(algorithm, chain, private_key, timestamp_url)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
            builder.sign(signer, "image/png", io.BytesIO(content), signed)
    except c2pa.C2paError as exc:
        raise PublishError(
            f"{title} cannot be signed ({exc}): check that {certificates} starts with the "
            f"certificate of {key}, fit for C2PA, and that the key is one for {algorithm}"
        ) from exc
    return signed.getvalue()
