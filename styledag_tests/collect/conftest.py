import pytest

from styledag_tests.collect.clients import Sleeper


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()
