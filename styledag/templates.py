"""Jinja templates that lie beside the code which fills them in."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def templates(folder: Path, *, autoescape: bool = True, **options: Any) -> "jinja2.Environment":
    """Return a folder's templates, for HTML unless told otherwise; what they miss is an error."""
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
