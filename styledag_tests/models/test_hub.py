"""Of a model on the Hub only the files that are read are downloaded, once."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import CorruptedCacheException, XetDownloadError

from styledag.errors import ModelError
from styledag.models.hub_errors import hub_errors
from styledag.models.reference import ModelReference, configuration_folder, resolve_model
from styledag.store.store import Store
from styledag_tests.models.hub import COMMIT, REPOSITORY, running_hub
from styledag_tests.models.test_files import PIPELINE, STABLE_DIFFUSION_1_5

FILES = {name: name.encode() for name in STABLE_DIFFUSION_1_5}
RESOLVE = """
import json, sys
from pathlib import Path
from styledag.errors import ModelError
from styledag.models.reference import ModelReference, resolve_model
from styledag.store.store import Store

root, reference, parts = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
store = Store(str(root / "store"), cache=root / "cache")
try:
    model = resolve_model(ModelReference(**reference), project=root, items=store.items, parts=parts)
except ModelError as exc:
    sys.exit(f"ModelError: {exc}")
files = [each.relative_to(model.folder).as_posix() for each in model.folder.rglob("*")
         if each.is_file()]
print(json.dumps({"version": model.version, "files": sorted(files), "folder": str(model.folder)}))
"""


def resolve(
    root: Path, url: str, *parts: str, **reference: str
) -> subprocess.CompletedProcess[str]:
    """Resolve the Hub's model in a process of its own, whose Hub is at this address."""
    stated = {"model": REPOSITORY, "revision": "main"} | reference
    settings = {"HF_ENDPOINT": url, "HF_HOME": str(root / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    return subprocess.run(
        [sys.executable, "-c", RESOLVE, str(root), json.dumps(stated), json.dumps(parts)],
        capture_output=True, text=True, check=False, env=os.environ | settings,
    )  # fmt: skip


def resolved(root: Path, url: str, *parts: str, **reference: str) -> Any:
    """Return what :func:`resolve` printed."""
    run = resolve(root, url, *parts, **reference)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_of_stable_diffusion_1_5_only_what_is_read_is_downloaded(
    tmp_path: Path, store: Store
) -> None:
    expected = {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/special_tokens_map.json",
        "tokenizer/tokenizer_config.json",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    with running_hub(FILES) as hub:
        model = resolved(tmp_path, hub.url, *PIPELINE)
        assert sorted(hub.downloads) == sorted(expected)
        again = resolved(tmp_path, hub.url, "unet")
        assert sorted(hub.downloads) == sorted(expected)
        assert again["version"] != model["version"]
    assert set(model["files"]) == expected
    offline = resolved(tmp_path, hub.url, *PIPELINE)
    assert offline["version"] == model["version"]
    copied = ModelReference(model=model["folder"])
    local = resolve_model(copied, project=tmp_path, items=store.items, parts=PIPELINE)
    assert local.version == model["version"]


def test_a_commit_that_is_in_the_cache_is_not_asked_for_again(tmp_path: Path) -> None:
    with running_hub(FILES) as hub:
        first = resolved(tmp_path, hub.url, "unet", revision=COMMIT)
        asked, downloads = hub.listings, len(hub.downloads)
        assert resolved(tmp_path, hub.url, "unet", revision=COMMIT) == first
        assert (hub.listings, len(hub.downloads)) == (asked, downloads)


def test_a_variant_is_downloaded_in_place_of_the_main_files(tmp_path: Path) -> None:
    with running_hub(FILES) as hub:
        model = resolved(tmp_path, hub.url, "unet", variant="fp16")
    described = ["text_encoder/config.json", "unet/config.json", "vae/config.json"]
    assert sorted(hub.downloads) == sorted(
        ["model_index.json", *described, "unet/diffusion_pytorch_model.fp16.safetensors"]
    )
    assert model["files"] == sorted(
        ["model_index.json", *described, "unet/diffusion_pytorch_model.safetensors"]
    )


def test_shards_are_downloaded_with_their_index(tmp_path: Path) -> None:
    stem = "diffusion_pytorch_model"
    shards = [f"{stem}-0000{at}-of-00002.safetensors" for at in (1, 2)]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    files = {
        "unet/config.json": b"{}",
        f"unet/{stem}.safetensors.index.json": json.dumps(index).encode(),
        **{f"unet/{shard}": shard.encode() for shard in shards},
        "unet/other.safetensors": b"not read",
    }
    with running_hub(files) as hub:
        resolved(tmp_path, hub.url, "unet")
    assert set(hub.downloads) == files.keys() - {"unet/other.safetensors"}


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (".bin", "diffusion_pytorch_model.bin only, which is a pickle"),
        (".fp16.safetensors", "as variant fp16 only"),
    ],
)
def test_weights_that_cannot_be_read_are_refused_before_any_download(
    tmp_path: Path, kept: str, said: str
) -> None:
    files = {"unet/config.json": b"{}", f"unet/diffusion_pytorch_model{kept}": b"weights"}
    with running_hub(files) as hub:
        run = resolve(tmp_path, hub.url, "unet")
        assert hub.downloads == []
    assert run.returncode == 1
    assert "ModelError" in run.stderr
    assert said in run.stderr


def test_a_repository_that_is_not_there_is_named(tmp_path: Path) -> None:
    with running_hub(FILES) as hub:
        run = resolve(tmp_path, hub.url, "unet", model="org/none")
    assert "ModelError: model 'org/none' at revision 'main' cannot be had" in run.stderr


def test_of_a_gated_model_it_is_said_where_its_terms_are_accepted(tmp_path: Path) -> None:
    """The Hub lists the files of Stable Diffusion 3.5, and refuses each until one has accepted."""
    with running_hub(FILES, refused=(403, "GatedRepo")) as hub:
        run = resolve(tmp_path, hub.url, "unet")
    assert f"its terms must be accepted first: open {hub.url}/org/model and accept" in run.stderr
    # Who has accepted them may wait for their owner, or have a token that may not read such models.
    assert "may read public gated repositories (Your request is awaiting a review)" in run.stderr
    assert "ModelError" in run.stderr


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "no space is left in its cache, "),
        (XetDownloadError("CAS service error"), "XetDownloadError: CAS service error: check"),
        (RuntimeError("Data processing error"), "RuntimeError: Data processing error: check"),
        (CorruptedCacheException("blob"), "CorruptedCacheException: blob: check the"),
    ],
)
def test_whatever_a_download_raises_names_the_model(error: Exception, why: str) -> None:
    with (
        pytest.raises(ModelError, match=f"'org/model' at revision 'main' .*Hub: {why}"),
        hub_errors("org/model", "main"),
    ):
        raise error


def test_offline_mode_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    reference = ModelReference(model="owner/absent", revision="0123abc")
    with pytest.raises(ModelError, match=r"in offline mode.*unset HF_HUB_OFFLINE"):
        configuration_folder(reference, project=tmp_path)
