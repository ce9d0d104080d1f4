"""A page as a reader meets it: opened in headless Chromium, at a narrow and a wide window."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
WIDTHS = (400, 1400)
OPTIONS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --allow-file-access-from-files --dump-dom "
    "--enable-logging=stderr --virtual-time-budget=10000"
)
# Looks at the page in frames of each width and leaves what it found as JSON in its own document.
LOOK = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0"><script>
const found = {{widths: {{}}}};
const widths = {widths};
function look(width) {{
  return new Promise(done => {{
    const frame = document.createElement('iframe');
    frame.style = `width:${{width}}px;height:4000px;border:0`;
    frame.src = {address};
    frame.onload = () => {{
      const page = frame.contentDocument, root = page.documentElement;
      page.querySelectorAll('details').forEach(part => part.open = true);
      found.widths[width] = {{
        overflow: root.scrollWidth - root.clientWidth,
        broken: [...page.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.alt),
      }};
      found.answers = [...page.querySelectorAll('.answer')].map(a => ({{
        question: a.querySelector('h3, strong').innerText,
        said: [...a.querySelectorAll('p, li')].map(e =>
          [e.innerText, Math.ceil(e.getBoundingClientRect().bottom)]),
      }}));
      found.images = page.images.length;
      found.text = page.body.innerText.length;
      found.links = [...page.querySelectorAll('a')].map(a => a.href);
      found.ids = [...page.querySelectorAll('[id]')].map(e => e.id);
      done();
    }};
    document.body.append(frame);
  }});
}}
widths.reduce((before, width) => before.then(() => look(width)), Promise.resolve()).then(() => {{
  const out = document.createElement('pre');
  out.id = 'found'; out.textContent = JSON.stringify(found);
  document.body.replaceChildren(out);
}});
</script>"""

needs_browser = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("REQUIRE_BROWSER"),
    reason="no Chromium on this machine; REQUIRE_BROWSER=1 makes that a failure",
)


@dataclass(frozen=True)
class Seen:
    """What a browser found: pixels beyond each window, pictures, links, complaints.

    ``answers``: ``question`` and ``said``, pairs of text and where it ends, in pixels from the top,
    in a window of the last width.
    """

    page: Path
    overflow: dict[int, int]
    broken: list[str]
    n_images: int
    n_letters: int
    links: list[str]
    ids: list[str]
    answers: list[dict[str, Any]]
    console: list[str]

    def dead_links(self) -> list[str]:
        """Links to no place of the page, and to no file beside it."""
        return [link for link in self.links if not self._resolves(link)]

    def _resolves(self, link: str) -> bool:
        parts = urlsplit(link)
        if parts.scheme in ("http", "https", "mailto"):
            return bool(parts.netloc or parts.path)
        path = Path(unquote(parts.path))
        if path == self.page:
            return unquote(parts.fragment) in self.ids
        return path.is_file()

    def faults(self) -> list[str]:
        """Everything that is wrong, in words; empty for a good page."""
        return [
            *(f"{by} px beyond a window of {w} px" for w, by in self.overflow.items() if by > 0),
            *(f"picture not loaded: {alt[:60]}" for alt in self.broken),
            *(f"dead link: {link}" for link in self.dead_links()),
            *(f"console: {line}" for line in self.console),
        ]


def look_at(page: Path, scratch: Path, widths: tuple[int, ...] = WIDTHS) -> Seen:
    """Open a page; ``scratch`` is an empty folder for the browser's own files."""
    assert BROWSER, "REQUIRE_BROWSER is set and no Chromium was found"
    page = page.resolve()
    look = scratch / "look.html"
    address = json.dumps(page.as_uri())
    look.write_text(LOOK.format(widths=list(widths), address=address), encoding="utf-8")
    done = subprocess.run(
        [BROWSER, *OPTIONS.split(), f"--user-data-dir={scratch / 'profile'}", look.as_uri()],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-800:]
    found = json.loads(html.unescape(told[1]))
    return Seen(
        page,
        {int(width): seen["overflow"] for width, seen in found["widths"].items()},
        [alt for seen in found["widths"].values() for alt in seen["broken"]],
        found["images"], found["text"], found["links"], found["ids"], found["answers"],
        [line.split("CONSOLE", 1)[1] for line in done.stderr.splitlines() if "CONSOLE" in line],
    )  # fmt: skip
