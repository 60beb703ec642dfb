"""Work is per item: one more image costs one of everything, and another style nothing."""

from pathlib import Path

from PIL import Image

from styledag.defs.partitions import read_partitions
from styledag.graph.catalogue import Catalogue
from styledag.graph.status import style_status
from styledag_tests.whole.conftest import Undisturbed, copied
from styledag_tests.whole.small_project import STYLE, make_project, run_all


def test_one_more_image_costs_one_of_everything_and_then_training(
    tmp_path: Path, undisturbed: Undisturbed, wiki_folder: Path
) -> None:
    before = undisturbed.outcome
    added = wiki_folder / "animals" / "purple-dragon.png"
    added.parent.mkdir(exist_ok=True)
    image = Image.radial_gradient("L").resize((72, 72))
    Image.merge("RGB", (image, Image.new("L", (72, 72), 30), image)).save(added)
    try:
        with copied(undisturbed, tmp_path / "project") as project:
            states = {each.asset: each.state for each in style_status(Catalogue(project), STYLE)}
            assert states["jpeg_images"] == "current"  # nobody has asked the wiki yet
            after = run_all(project)
    finally:
        added.unlink()
    work = after.work
    assert work["raw_images"]["downloads"] == 1
    assert work["jpeg_images"] == {"decodes": 1}
    assert work["captions"].keys() <= {"captions", "answers_cut_off"}
    assert work["captions"]["captions"] == 1
    assert work["encoded_dataset"]["encodes"] == 1
    assert work["ema_unet"]["steps"] == before.work["ema_unet"]["steps"]
    assert before.of("ema_unet")["version"] != after.of("ema_unet")["version"]
    # The base is blended and drawn as before.
    weight_0 = f"{STYLE}.full@0.00"
    grids = [run.of("sample_grid", weight_0)["version"] for run in (before, after)]
    assert grids[0] == grids[1]


def test_a_broken_style_disturbs_no_other(tmp_path: Path, starter: Path) -> None:
    project = make_project(tmp_path, starter, "http://127.0.0.1:1")
    (project.styles_folder / "broken.yaml").write_text("base: [", encoding="utf-8")
    partitions = read_partitions(project)
    stages = Catalogue(project).stages
    assert partitions.definition(stages["style"]).get_partition_keys() == ["broken", STYLE]
    assert partitions.definition(stages["ema_unet"]).get_partition_keys() == [f"{STYLE}.full"]
