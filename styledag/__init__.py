"""styledag turns a visual style, declared in one YAML file, into a text-to-image model."""

__version__ = "0.1.0"
