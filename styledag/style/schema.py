"""The style file's JSON schema, by which editors complete and check it."""

import json

from styledag.style.model import Style

SCHEMA_FILE = "style.schema.json"


def style_schema() -> str:
    """Return the JSON schema of a style file, as committed beside the style files."""
    schema = Style.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "styledag style"
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
