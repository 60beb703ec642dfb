"""What goes wrong ends in one clear sentence, a non-zero exit, and leaves what was there."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from styledag.cli.main import main
from styledag.demo.wiki import DemoWiki, serve_wiki
from styledag.graph.catalogue import Catalogue
from styledag.graph.checking.preflight import require_ready
from styledag.models.compute import ComputeSettings
from styledag.project import Project
from styledag.store.store import Store
from styledag_tests.whole.small_project import CATEGORIES, STYLE, make_project


@pytest.fixture(scope="module")
def wiki() -> Iterator[DemoWiki]:
    with serve_wiki(port=0, categories=CATEGORIES) as site:
        yield site


@pytest.fixture
def root(tmp_path: Path, starter: Path, wiki: DemoWiki) -> Path:
    return make_project(tmp_path / "project", starter, wiki.url).root


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Command = Callable[..., Ended]


@pytest.fixture
def styledag(
    root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    """Run the command line in the project, in this process: a new one imports for seconds."""

    def run(*arguments: str) -> Ended:
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys, "argv", ["styledag", *arguments])
        capfd.readouterr()
        try:
            main()
            code: object = 0
        except SystemExit as exc:
            code = exc.code
        said = capfd.readouterr()
        return Ended(int(str(code or 0)), said.out, said.err)

    return run


def edit(root: Path, find: str, replace: str) -> None:
    path = root / "data" / "styles" / f"{STYLE}.yaml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(find, replace, text, flags=re.DOTALL)
    assert changed != text
    path.write_text(changed, encoding="utf-8")


BREAK: dict[str, tuple[Callable[[Path], None], str]] = {
    "a bad style file": (
        lambda root: edit(root, "size_px: 64", "size: 64"),
        r"small\.yaml:\d+: images\.size: unknown key; did you mean 'size_px'\?",
    ),
    "an unknown style": (
        lambda root: (root / "data" / "styles" / f"{STYLE}.yaml").unlink(),
        "there is no style 'small'",
    ),
    "an unreachable site": (
        lambda root: edit(root, r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:1"),
        r"http://127\.0\.0\.1:1/",
    ),
    "a source with no image": (
        lambda root: edit(root, "img.artwork", "img.nothing"),
        "img.nothing",
    ),
    "a missing captioner": (
        lambda root: edit(root, "/blip", "/no-blip"),
        "no-blip.*is no folder or file of the project",
    ),
    "a missing base": (
        lambda root: edit(root, "/stable-diffusion", "/no-base"),
        "no-base.*is no folder or file of the project",
    ),
}


@pytest.mark.parametrize("what", BREAK)
def test_a_failure_is_one_clear_sentence(root: Path, styledag: Command, what: str) -> None:
    spoil, sentence = BREAK[what]
    spoil(root)
    run = styledag("run", STYLE)
    assert run.returncode == 1
    assert re.search(rf"^error: .*{sentence}", run.stderr, re.MULTILINE), run.stderr
    assert "Traceback" not in run.stderr + run.stdout
    assert len(run.stderr.strip().splitlines()) == 1


def test_all_that_is_known_to_fail_is_reported_before_any_request(
    root: Path, styledag: Command, wiki: DemoWiki
) -> None:
    long = "cat " * 159
    edit(root, "a rocket", f"a rocket, {long.strip()}")
    edit(root, "/clip", "/no-clip")
    before = sum(wiki.served.values())
    run = styledag("run", STYLE)
    assert run.returncode == 1
    assert "no-clip" in run.stderr
    edit(root, "/no-clip", "/clip")
    run = styledag("run", STYLE)
    assert run.returncode == 1
    assert re.search(
        r"^error: .*small\.yaml:\d+: samples\.prompts\[2\] is 161 tokens long, but the base reads "
        "77: shorten it",
        run.stderr,
    )
    assert sum(wiki.served.values()) == before


def break_captioner(root: Path, starter: Path) -> None:
    """Name a captioner that only loading it shows to be incomplete."""
    shutil.copytree(starter / "blip", root / "blip")
    (root / "blip" / "processor_config.json").unlink()
    edit(root, r"model: [^}]*/blip\}", "model: blip}")


def test_a_failure_leaves_what_was_there(root: Path, styledag: Command, starter: Path) -> None:
    break_captioner(root, starter)
    styledag("run", STYLE)
    before = Store(str(root / "data/store")).require("raw_images", STYLE)
    edit(root, r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:1")
    assert styledag("run", STYLE).returncode == 1
    after = Store(str(root / "data/store")).require("raw_images", STYLE)
    assert after.version == before.version
    after.verify()


def test_a_device_that_is_not_there_is_an_error(styledag: Command) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    run = styledag("run", STYLE, "--device", "cuda")
    assert run.returncode == 1
    assert "'cuda' was asked for, but this machine has only" in run.stderr


def _small_disk(folder: Path, size: str) -> bool:
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None:
        return False
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


def test_a_full_disk_is_said_and_mended_by_room(
    root: Path, styledag: Command, starter: Path
) -> None:
    disk = root / "data" / "store"
    if not _small_disk(disk, "300k"):
        pytest.skip("mounting a small disk needs privileges")
    try:
        run = styledag("run", STYLE)
        assert run.returncode == 1
        assert re.search(r"^error: training small.full needs .* on the disk, but", run.stderr)
        subprocess.run(["mount", "-o", "remount,size=900m", str(disk)], check=True)
        require_ready(Catalogue(Project.at(root)), STYLE, [], ComputeSettings())
        subprocess.run(["mount", "-o", "remount,size=300k", str(disk)], check=True)
        run = styledag("run", STYLE)
        assert run.returncode == 1
        assert re.search(r"^error: .* about to be written to .*store, and .* free", run.stderr)
        subprocess.run(["mount", "-o", "remount,size=900m", str(disk)], check=True)
        break_captioner(root, starter)
        assert "blip" in styledag("run", STYLE).stderr
        Store(str(disk)).require("curated_images", STYLE).verify()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_check_that_fails_is_in_the_exit_code(root: Path, styledag: Command) -> None:
    edit(root, r"model: [^}]*/blip", "model: absent")
    ended = styledag("doctor", STYLE)
    assert "FAIL" in ended.stdout
    assert ended.returncode == 1


def test_a_file_of_the_user_that_cannot_be_written_is_one_sentence(
    root: Path, styledag: Command
) -> None:
    styles = root / "data" / "styles"
    shutil.rmtree(styles)
    styles.write_text("no folder")
    ended = styledag("new", "other", "--base", "starter")
    assert ended.returncode == 1
    assert ended.stderr == f"error: cannot use {styles}: File exists\n"
