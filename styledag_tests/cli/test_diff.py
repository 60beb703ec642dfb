import pytest

from styledag.errors import ArtifactMissingError
from styledag_tests.cli.conftest import Call
from styledag_tests.cli.made_project import MadeProject
from styledag_tests.whole.small_project import STYLE


def test_the_version_before_is_compared_with_the_current_one(call: Call, made: MadeProject) -> None:
    second = made.add_dataset(range(1, 8))

    output = call("diff", STYLE)

    assert output.startswith(f"{made.dataset.version[:12]} to {second.version[:12]}: ")
    assert "2 added, 1 removed" in output
    assert "5 unchanged" in output
    turned = call("diff", STYLE, second.version[:10], made.dataset.version[:10])
    assert "1 added, 2 removed" in turned


def test_one_version_alone_is_compared_with_nothing(call: Call) -> None:
    with pytest.raises(ArtifactMissingError, match="one version only"):
        call("diff", STYLE)
