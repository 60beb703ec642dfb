"""Icon sets of npm packages: fetched once, checked, drawn, and a style of the whole graph."""

import base64
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from styledag.cli.main import cli
from styledag.cli.run import DEMO_STYLE, ICON_STYLES
from styledag.demo import icons
from styledag.demo.icons import IconSet, icon_images, registry_address
from styledag.errors import DataError, SourceError
from styledag.style.load import load_style
from styledag.style.template import epochs_for, write_new_style
from styledag_tests.collect.servers import Reply, Site, serving

STYLES = Path(__file__).parents[2] / "data" / "styles"
FOUND = {DEMO_STYLE: 400, "openmoji": 293, "game-icons": 1299}
"""Images that each style's sources have."""
ANIMALS = ("ant", "bee", "cat", "dog", "eel", "fly", "gnu", "hen", "ibis", "jay", "koi", "lynx")


def package(categories: Mapping[str, tuple[str, ...]]) -> bytes:
    """Return an archive with icons that differ, half of them not of the set's own size."""
    names = [name for named in categories.values() for name in named]
    table = {
        "width": 24,
        "height": 24,
        "icons": {
            name: {
                "body": f'<circle fill="#{at * 19:02x}0000" cx="{4 + at}" cy="9" r="{2 + at % 5}"/>'
                f'<path fill="currentColor" d="M{at} 2h{3 + at % 7}v{2 + at}z"/>',
                **({"width": 32, "height": 32} if at % 2 else {}),
            }
            for at, name in enumerate(names)
        },
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in (("icons", table), ("metadata", {"categories": categories})):
            written = json.dumps(content).encode()
            member = tarfile.TarInfo(f"package/{name}.json")
            member.size = len(written)
            archive.addfile(member, io.BytesIO(written))
    return packed.getvalue()


def icon_set(content: bytes, **chosen: object) -> IconSet:
    checksum = base64.b64encode(hashlib.sha512(content).digest()).decode()
    return IconSet(package="@sets/small", version="1.0.0", integrity=checksum, **chosen)  # type: ignore[arg-type]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A registry with one package, which npm is configured with; `openmoji` is that package."""
    content = package({"Animals": ANIMALS, "Tools": ("anvil", "two-words")})
    path = "/npm/@sets/small/-/small-1.0.0.tgz"
    with serving({path: Reply(body=content, content_type="application/octet-stream")}) as site:
        monkeypatch.setenv("npm_config_registry", f"{site.url}/npm/")
        monkeypatch.setattr(icons, "SETS", {"openmoji": icon_set(content, categories=("Animals",))})
        yield site


def test_a_set_is_fetched_once_and_drawn_with_its_names(tmp_path: Path, registry: Site) -> None:
    pytest.importorskip("resvg_py")
    folder = icon_images("openmoji", tmp_path)
    assert folder == tmp_path / "data" / "demo" / "openmoji-1.0.0"
    table = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [row["text"] for row in table] == list(ANIMALS)
    for row in table:
        with Image.open(folder / row["file_name"]) as image:
            assert image.size == (128, 128)
            # Drawn in black on nothing where the icon leaves its colour open.
            assert image.convert("RGBA").getextrema()[3] == (0, 255)
    assert icon_images("openmoji", tmp_path) == folder
    assert registry.asked.total() == 1


def test_a_set_without_categories_gives_what_one_word_names_but_for_what_is_asked(
    tmp_path: Path, registry: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resvg_py")
    content = package({"Animals": ANIMALS, "Tools": ("anvil", "two-words")})
    chosen = icon_set(content, without=frozenset({"anvil"}))
    monkeypatch.setattr(icons, "SETS", {"openmoji": chosen})
    folder = icon_images("openmoji", tmp_path)
    assert sorted(path.stem for path in folder.glob("*.png")) == sorted(ANIMALS)


def test_another_file_than_npm_states_is_refused_and_not_kept(
    tmp_path: Path, registry: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(icons, "SETS", {"openmoji": icon_set(b"another")})
    with pytest.raises(DataError, match=r"small-1\.0\.0\.tgz has the sha512 .*, but npm states"):
        icon_images("openmoji", tmp_path)
    assert not list(tmp_path.rglob("*.tgz"))


def test_a_registry_that_cannot_be_reached_is_named_with_what_to_do(
    tmp_path: Path, registry: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:1/")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:1/@sets/small/-/.*npm_config_registry"):
        icon_images("openmoji", tmp_path)
    monkeypatch.setenv("npm_config_registry", registry.url)
    with pytest.raises(SourceError, match="404"):
        icon_images("openmoji", tmp_path)


def test_the_registry_is_npms_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.lower() == "npm_config_registry"]:
        monkeypatch.delenv(name)
    npm = tmp_path / "npm"
    npm.write_text('#!/bin/sh\n[ "$*" = "config get registry" ] && echo https://mirror.example/\n')
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert registry_address() == "https://mirror.example"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert registry_address() == ""
    with pytest.raises(SourceError, match="install npm, or name a registry"):
        icon_images("openmoji", tmp_path)


@pytest.mark.parametrize("name", [DEMO_STYLE, *ICON_STYLES])
def test_the_demos_are_trained_as_a_new_style_of_as_many_images_is(
    name: str, tmp_path: Path
) -> None:
    new = load_style(write_new_style("new", tmp_path, base="starter", images=FOUND[name]))
    recipe = load_style(STYLES / f"{name}.yaml").recipes["full"]
    assert recipe == new.recipes["full"]
    assert recipe.epochs == epochs_for(FOUND[name], 64, 4)


@pytest.mark.parametrize("name", ICON_STYLES)
def test_a_demos_file_names_its_set_and_asks_for_what_is_not_taught(name: str) -> None:
    style = load_style(STYLES / f"{name}.yaml")
    [source] = style.sources
    assert source.name == f"data/demo/{name}-{icons.SETS[name].version}"
    asked = {prompt.split()[-1] for prompt in style.scores.outside_prompts}
    assert icons.SETS[name].without - {"phone"} <= asked


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_the_demo_of_a_set_runs_to_its_report_and_then_has_nothing_to_do(
    tmp_path: Path, registry: Site, starter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("resvg_py")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (tmp_path / "data" / "styles").mkdir(parents=True)
    (tmp_path / "data" / "starter").symlink_to(starter)
    style = yaml.safe_load((STYLES / "openmoji.yaml").read_text())
    style["sources"][0]["path"] = "data/demo/openmoji-1.0.0"
    style["dataset"]["validation_share"] = 0.3
    style["recipes"]["full"] |= {"epochs": 1, "snapshot_every_epochs": 1, "lr_warmup_steps": 0}
    style["blends"]["weights"] = [0.0, 1.0]
    style["samples"] |= {"prompts": ["a drawing of a cat"], "seeds": [0, 1]}
    style["samples"] |= {"num_inference_steps": 2}
    style["scores"] |= {"outside_prompts": ["a drawing of an anvil"], "loss_images": 2}
    (tmp_path / "data" / "styles" / "openmoji.yaml").write_text(yaml.safe_dump(style))

    def demo() -> str:
        result = CliRunner().invoke(cli, ["demo", "--style", "openmoji"])
        if result.exception is not None:
            raise result.exception
        return result.output

    first, second = demo(), demo()
    assert "12 of 12 kept; 12 downloads" in first
    assert "report of openmoji.full" in first
    assert "nothing changed" in second
    assert registry.asked.total() == 1
