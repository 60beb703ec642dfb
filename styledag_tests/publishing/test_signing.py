"""A signed image is read back by c2pa's own reader, with certificates that openssl makes."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from styledag.cli.main import cli
from styledag.errors import PublishError
from styledag.publishing.signing import sign_png
from styledag.sampling.marking import TRAINED_ALGORITHMIC_MEDIA, marked_png

OPENSSL = shutil.which("openssl")
EXTENSIONS = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,emailProtection
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""


@pytest.fixture
def signer(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate with its authority's, and its key."""
    if OPENSSL is None:
        pytest.skip("openssl makes the certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run([OPENSSL, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "extensions").write_text(EXTENSIONS)
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    openssl("genpkey", *curve, "-out", "ca.key")
    openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/O=Test/CN=CA", "-out", "ca.pem")
    openssl("genpkey", *curve, "-out", "key.pem")
    openssl("req", "-new", "-key", "key.pem", "-subj", "/O=Test/CN=Ada", "-out", "request")
    openssl(
        "x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "9", "-extfile", "extensions", "-out", "own.pem",
    )  # fmt: skip
    chain = (tmp_path / "own.pem").read_text() + (tmp_path / "ca.pem").read_text()
    (tmp_path / "chain.pem").write_text(chain)
    return tmp_path / "chain.pem", tmp_path / "key.pem"


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a fox.png"
    path.write_bytes(marked_png(Image.linear_gradient("L").convert("RGB")))
    return path


def test_the_reader_finds_who_signed_what(signer: tuple[Path, Path], png: Path) -> None:
    c2pa = pytest.importorskip("c2pa")
    to = png.parent / "signed"
    arguments = ["--to", to, "--certificates", signer[0], "--key", signer[1]]

    CliRunner().invoke(cli, ["sign", str(png), *map(str, arguments)], catch_exceptions=False)

    signed = (to / "a fox.png").read_bytes()
    with c2pa.Reader("image/png", io.BytesIO(signed)) as reader:
        store = json.loads(reader.json())
        assert reader.get_validation_state() == "Valid"
    manifest = store["manifests"][store["active_manifest"]]
    (actions,) = manifest["assertions"]
    assert actions["data"]["actions"][0]["digitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert (manifest["title"], manifest["signature_info"]["common_name"]) == ("a fox.png", "Ada")
    with Image.open(io.BytesIO(signed)) as one, Image.open(png) as other:
        assert one.tobytes() == other.tobytes()
        assert one.info["xmp"] == other.info["xmp"]


def test_another_ones_key_is_refused(signer: tuple[Path, Path], png: Path) -> None:
    pytest.importorskip("c2pa")
    with pytest.raises(PublishError, match=r"cannot be signed .* check that .*chain.pem"):
        sign_png(
            png.read_bytes(),
            title="x",
            certificates=signer[0],
            key=signer[0].parent / "ca.pem",
            algorithm="es256",
        )


def test_a_missing_package_is_named(
    tmp_path: Path, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(PublishError, match=r"pip install 'styledag\[c2pa\]'"):
        sign_png(b"", title="x", certificates=png, key=png, algorithm="es256")
