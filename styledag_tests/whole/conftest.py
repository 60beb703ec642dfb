"""One wiki and one undisturbed run of everything, shared by the tests of the whole graph."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from styledag.demo.wiki import DemoWiki, serve_wiki
from styledag.project import Project
from styledag_tests.whole.small_project import CATEGORIES, Outcome, make_project, run_all


@pytest.fixture
def in_folder() -> Iterator[None]:
    """Give the test's changes of the current folder back."""
    before = Path.cwd()
    yield
    os.chdir(before)


@pytest.fixture(scope="session")
def starter(starter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter with random weights, whose UNet has the same layers, a quarter as wide."""
    from diffusers import UNet2DConditionModel

    folder = tmp_path_factory.mktemp("narrow") / "starter"
    shutil.copytree(starter, folder)
    unet = folder / "stable-diffusion" / "unet"
    config = UNet2DConditionModel.load_config(unet)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        narrow = UNet2DConditionModel.from_config(config, block_out_channels=(32, 32, 64))
    narrow.half().save_pretrained(unet)
    return folder


@pytest.fixture(scope="session")
def wiki_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of images that the wiki shows besides its artwork."""
    return tmp_path_factory.mktemp("wiki")


@pytest.fixture(scope="session")
def wiki(wiki_folder: Path) -> Iterator[DemoWiki]:
    with serve_wiki(port=0, extra=wiki_folder, categories=CATEGORIES) as site:
        yield site


@dataclass(frozen=True)
class Undisturbed:
    """A project after one run of everything."""

    project: Project
    outcome: Outcome


@pytest.fixture(scope="session")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, starter: Path, wiki: DemoWiki
) -> Undisturbed:
    before = Path.cwd()
    project = make_project(tmp_path_factory.mktemp("undisturbed"), starter, wiki.url)
    os.chdir(project.root)
    outcome = run_all(project)
    os.chdir(before)
    return Undisturbed(project, outcome)


@contextmanager
def copied(undisturbed: Undisturbed, root: Path) -> Iterator[Project]:
    """Copy the project, and work in the copy."""
    shutil.copytree(undisturbed.project.root, root)
    before = Path.cwd()
    os.chdir(root)
    yield Project.at(root)
    os.chdir(before)
