"""A folder of images with captions beside them, from the first command to what a run prints."""

from pathlib import Path

from click.testing import CliRunner

from styledag.cli.main import cli
from styledag_tests.images.images import noisy, saved


def test_a_run_says_where_captions_come_from_and_which_checks_fail(
    tmp_path: Path, starter: Path
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    for at, text in enumerate(("a fox", "an owl\nin a tree", "a very long tail " * 40, "a cat")):
        (mine / f"{at}.png").write_bytes(saved(noisy(at)))
        (mine / f"{at}.txt").write_text(text)
    for name in ("a.dat", "b.dat", "c.dat", "d.dat", "page.jpg"):
        (mine / name).write_text("<html>")

    def call(*arguments: str) -> str:
        result = CliRunner().invoke(cli, ["--project", str(tmp_path), *arguments])
        assert result.exception is None, result.output
        return result.output

    call("init", str(tmp_path))
    (tmp_path / "data" / "starter").symlink_to(starter)
    call("new", "mine", "--base", "starter", "--from", "mine")
    style, overrides = tmp_path / "data" / "styles" / "mine.yaml", tmp_path / "own.csv"
    written = style.read_text()
    assert "  captioner:\n    model: data/starter/blip\n" in written
    own = "  sources: [override, caption]\n  overrides: own.csv\n"
    style.write_text(written.replace("  captioner:\n    model: data/starter/blip\n", own))
    overrides.write_text("image,caption\n3.png,a tabby\n[x].png,a ghost\n")
    output = call("run", "mine", "--to", "captions")
    (line,) = (line for line in output.splitlines() if line.startswith("captions "))
    for figure in (
        "4 of 4 kept",
        "1 from override",
        "3 from caption",
        "1 of several lines, which were joined",
        "1 cut to what the base reads",
        "1 overrides mean no image that is kept, such as [x].png",
    ):
        assert figure in line.split("  ")[-1].split("; ")
    assert "captions_fit: 1 of 4 captions were cut to fit; limit 10%" in output
    shown = call("show", "mine", "raw_images")
    assert "page.jpg: its content is no image's" in shown  # though more than three come before it
    assert (
        "mine: 4 of 4 images have a caption, 1 of them of several lines (captions.lines)" in shown
    )
