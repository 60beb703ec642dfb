"""The code location: what `dagster dev` loads. Imports no torch."""

import os
from pathlib import Path

from styledag.defs.code_location import build_definitions
from styledag.project import Project

defs = build_definitions(
    Project.find(Path.cwd(), store_url=os.environ.get("STYLEDAG_STORE")),
    pages_url=os.environ.get("STYLEDAG_PAGES", ""),
)
