"""The template of the page."""

from pathlib import Path
from typing import Any

from kmtl._checks import import_extra
from kmtl.analysis._report._words import number, percent, signed

_TEMPLATES = Path(__file__).parent / "templates"


def load_template() -> Any:
    """Returns the template, a `jinja2.Template`."""
    jinja2 = import_extra("jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "percent": percent, "signed": signed}
    return environment.get_template("report.html.jinja")
