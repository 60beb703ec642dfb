"""What the web UI is given to link to."""

from styledag.defs.metadata import lineage_links, name_tags
from styledag.defs.placement import Placement
from styledag.graph.names import Partition
from styledag.store.store import Store
from styledag_tests.graph.test_pages import built

PAGES = "http://127.0.0.1:3001"


def test_a_blend_leads_to_its_dataset_in_the_web_ui_and_to_pages_beside_it(store: Store) -> None:
    curated = built(store, "curated_images", "small", ["contact_sheet.html"])
    blend = built(store, "merged_unet", "small.full/0.50", ["config.json"], curated)
    links = lineage_links(PAGES, store, blend, Placement())
    assert {name: link.value for name, link in links.items()} == {
        "open_contact_sheet": (
            f"{PAGES}/curated_images/small/{curated.version}/contact_sheet.html"
        ),
        "open_report": f"{PAGES}/model_report/small.full/current/report.html",
        "open_dataset": "/assets/image_dataset?view=partitions&partition=small",
        "open_training": "/assets/ema_unet?view=partitions&partition=small.full",
    }
    assert lineage_links(PAGES, store, curated, Placement()).keys() == {"open_contact_sheet"}
    without_pages = lineage_links("", store, blend, Placement())
    assert without_pages.keys() == {"open_dataset", "open_training"}


def test_what_all_partitions_of_a_run_share_is_a_tag_of_it() -> None:
    def tags(*keys: str) -> dict[str, str]:
        return name_tags(map(Partition.parse, keys))

    assert tags("small") == {"styledag/style": "small"}
    full = {"styledag/style": "small", "styledag/recipe": "full"}
    assert tags("small.full") == tags("small.full@0.50", "small.full@both") == full
    assert tags("small.full@0.50", "small.lora@0.50") == {"styledag/style": "small"}
    assert tags("small.full@0.50", "other.full@0.50") == {"styledag/recipe": "full"}
