"""The small base that training's tests use."""

from styledag_tests.training.conftest import base

__all__ = ["base"]
