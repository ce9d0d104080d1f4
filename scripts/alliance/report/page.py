"""What every page shares: the frame of the templates, the style sheets, typography, escaping."""

from __future__ import annotations

import base64
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from alliance.tables import TABLE_STYLE

_HERE = Path(__file__).parent
_NAME = re.compile(r"(?<![\w-])(\(?[A-Z][\w.]*(?:-[A-Z0-9][\w.]*)+\)?)(?![\w-])")


def render_page(template: str, **values: object) -> str:
    """A whole page as text. The same values give the same bytes.

    Everything that comes from data or configuration is escaped (Jinja2 autoescape; only what is
    ``Markup`` already, such as our own tables, stays as it is).

    Parameters
    ----------
    template : file in ``report/templates``, built on ``base.html``. values : what it names; one
        that is absent is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["keep_together"] = keep_together
    style = (_HERE / "style.css").read_text(encoding="utf-8") + "\n" + TABLE_STYLE
    return environment.get_template(template).render(style=Markup(style), **values)


def keep_together(text: str) -> Markup:
    """No line break inside ``b = 1``, ``p < .001``, an interval, or a name such as ``WAI-SR``."""
    text = re.sub(r" ([=<>]) ", "\u00a0\\1\u00a0", text)
    text = text.replace("95% C", "95%\u00a0C").replace("CI [", "CI\u00a0[")
    text = re.sub(r"\[[^\]]*\]", lambda found: found[0].replace(" ", "\u00a0"), text)
    return Markup(_NAME.sub(r'<span class="whole">\1</span>', str(escape(text))))


def css_width(png: bytes) -> int:
    """Pixels on the page at which the type of a figure is as large as that of its caption."""
    pixels = int.from_bytes(png[16:20], "big")  # the header of a PNG file holds its size
    return round(0.62 * pixels)


def data_uri(png: bytes) -> str:
    """The picture as part of the page, which then needs no other file."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
