"""Whatever lies beside images: each image is found, with words or without, or the run says why."""

import json
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from styledag.collect.collect import collect_images
from styledag.collect.image_type import image_type
from styledag.collect.settings import FolderSource
from styledag.errors import StyledagError
from styledag.store.store import Store
from styledag.store.workspace import Workspace
from styledag_tests.collect.servers import PNG

quickly = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
WORDS = st.lists(
    st.sampled_from(
        [
            *("file_name", "text", "caption", "a.png", "b.png", "../a.png", "null", "1e999"),
            *('"', ",", ";", "\t", "\n", "\r\n", "{", "}", "[", "]", ":", "\\u"),
            *("\ufeff", "\x00", "\U0001fae9"),
        ]
    )
    | st.text(max_size=6),
    max_size=30,
).map("".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-16-le", "utf-8-sig"])
BESIDE = WORDS.flatmap(
    lambda text: ENCODINGS.map(lambda name: text.encode(name, "surrogatepass"))
) | st.binary(max_size=200)


def collected(name: str, content: bytes) -> dict[str, str]:
    """Captions of two images by their names, with a file of some content beside them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "images").mkdir()
        for at, image in enumerate(("a.png", "b.png")):
            (root / "images" / image).write_bytes(PNG + bytes([at]))
        (root / "images" / name).write_bytes(content)
        store = Store(str(root / "store"))
        for each in ("work", "scratch"):
            (root / each).mkdir()
        workspace = Workspace(root / "work", root / "scratch", store.blobs, store.items)
        source = FolderSource(type="folder", path="images")
        manifest = collect_images([source], workspace, project=root)
        assert manifest.facts["found"] == len(manifest.rows) + len(manifest.rejected)
        return {row.origin.url: row.origin.caption for row in manifest.rows}


def found_or_named(name: str, content: bytes) -> bool:
    """Whether both images are there, or the error names the file beside them."""
    try:
        return collected(name, content).keys() == {"a.png", "b.png"}
    except StyledagError as exc:
        return name in str(exc)


@quickly
@given(st.sampled_from(["a.txt", "a.caption", "a.png.txt"]), BESIDE)
def test_any_sidecar_leaves_both_images(name: str, content: bytes) -> None:
    assume(not image_type(content))
    captions = collected(name, content)
    assert captions.keys() == {"a.png", "b.png"}
    captions["a.png"].encode()
    assert captions["b.png"] == ""


@quickly
@given(st.sampled_from(["metadata.jsonl", "metadata.csv", "metadata.parquet"]), BESIDE)
def test_any_table_leaves_both_images_or_is_named(name: str, content: bytes) -> None:
    assert found_or_named(name, content)


@quickly
@given(
    st.dictionaries(
        st.sampled_from(["file_name", "text", "caption", "x"]),
        st.text() | st.none() | st.integers() | st.lists(st.text(), max_size=2),
    )
)
def test_any_row_of_a_table_leaves_both_images_or_is_named(row: dict[str, object]) -> None:
    rows = [{"file_name": "a.png", "text": "one"}, row]
    content = "\n".join(json.dumps(each) for each in rows).encode()
    assert found_or_named("metadata.jsonl", content)
