from pathlib import Path

import pytest

from styledag.errors import StorageError
from styledag.sampling.index import prompt_folders, read_samples


def test_folders_are_distinct_and_safe() -> None:
    prompts = ["A dog, sitting!", "a dog sitting", "../../etc", "犬", "x" * 200]
    folders = prompt_folders(prompts)
    assert folders["A dog, sitting!"] == "a-dog-sitting-01"
    assert folders["a dog sitting"] == "a-dog-sitting-02"
    assert folders["../../etc"] == "etc-03"
    assert folders["犬"] == "prompt-04"
    assert len(folders["x" * 200]) < 50
    assert len(set(folders.values())) == 5


def test_a_missing_index_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"samples\.json is no index"):
        read_samples(tmp_path)
