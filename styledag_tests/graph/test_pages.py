"""Which pages an artifact leads to."""

from styledag.graph.pages import page_paths, read_page
from styledag.store.artifact import Artifact
from styledag.store.store import Store, Target
from styledag.store.workspace import Workspace


def built(store: Store, asset: str, partition: str, files: list[str], *read: Artifact) -> Artifact:
    def body(workspace: Workspace) -> dict[str, int]:
        for name in files:
            (workspace.folder / name).write_text(f"{asset} {name}")
        return {}

    inputs = [each.as_input() for each in read]
    target = Target(asset=asset, partition=partition, code_version="1", inputs=inputs)
    return store.build(target, body).artifact


def test_a_checkpoint_leads_to_its_own_contact_sheet_and_to_its_model_s_report(
    store: Store,
) -> None:
    curated = built(store, "curated_images", "small", ["contact_sheet.html", "families.jpg"])
    dataset = built(store, "image_dataset", "small", ["README.md"], curated)
    checkpoint = built(store, "checkpoint", "small.full/e001", ["thumbnails.png"], dataset)
    newer = built(store, "curated_images", "small", ["contact_sheet.html", "more.jpg"], dataset)
    assert newer.version != curated.version

    paths = page_paths(store, checkpoint)
    assert paths.keys() == {"thumbnails", "contact_sheet", "report"}
    sheet = read_page(store, paths["contact_sheet"])
    assert sheet is not None
    assert sheet.content == b"curated_images contact_sheet.html"
    assert curated.version in paths["contact_sheet"]
    thumbnails = read_page(store, paths["thumbnails"])
    assert thumbnails is not None
    assert thumbnails.content_type == "image/png"

    assert read_page(store, paths["report"]) is None
    built(store, "model_report", "small.full", ["report.html"], checkpoint)
    report = read_page(store, paths["report"])
    assert report is not None
    assert report.content == b"model_report report.html"


def test_what_came_from_no_images_leads_to_its_own_pages_alone(store: Store) -> None:
    raw = built(store, "raw_images", "small", ["images.txt"])
    assert page_paths(store, raw) == {}
    dataset = built(
        store, "image_dataset", "small", ["README.md"],
        built(store, "curated_images", "small", ["contact_sheet.html"]),
    )  # fmt: skip
    assert page_paths(store, dataset).keys() == {"contact_sheet"}
