"""The documentation site: Sphinx reads the pages as they are in the tree (docs/decisions/0011).

`make site` builds it, through tools/docs_site.py. The sources are Markdown files of the whole tree, so that every link
between them is the one that a forge follows. The navigation is the list of docs/README.md.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

from stream_rec import __version__

TREE = Path(__file__).parents[2]
REPOSITORY = os.environ.get("STREAM_REC_REPOSITORY", "")
"""Where the sources can be read, such as https://host/owner/stream-rec/blob/v0.2.0; empty: linked files are copied."""

project = "stream-rec"
author = "The stream-rec authors"
copyright = author  # noqa: A001  # Sphinx's name for it
version = release = os.environ.get("STREAM_REC_SITE_VERSION", __version__)

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/**.md", "docs/site/library.rst", "benchmarks/README.md", "findings/README.md"]
include_patterns += ["docs/*/*.md", "stream_rec/datasets/*.md"]
exclude_patterns = [".*", "build", "dist", "tests", "examples", "deploy", "tools", "stream_rec/[!d]*", ".github"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_heading_anchors = 6
# A block of JSON or a console may leave something out ("..."): it is then shown without colours.
suppress_warnings = ["misc.highlighting_failure"]

default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"stream-rec {version}"
html_favicon = "../../stream_rec/web/static/icon.svg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_js_files = ["versions.js"]
templates_path = ["templates"]
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
        "versions.html",
    ]
}
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "
copybutton_line_continuation_character = "\\"

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_SECTION = re.compile(r"^(?:\*\*(?P<bold>[^*\n]+)\*\*|(?P<plain>[A-Z][^\n]*):)$", re.MULTILINE)
_FENCE = re.compile(r"^(```|~~~).*?^\1$", re.MULTILINE | re.DOTALL)
_PROJECT = (
    "README",
    "CONTRIBUTING",
    "CHANGELOG",
    "SECURITY",
    "CODE_OF_CONDUCT",
    "benchmarks/README",
    "findings/README",
)
_UNLISTED = ("stream_rec/datasets/ONLINE_RETAIL_SAMPLE",)


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Lead links of a page out of the site, where they are, and give the page its part of the navigation."""
    text = source[0]
    page = Path(app.env.doc2path(name))
    if page.suffix == ".md":
        parts, end = [], 0
        for fence in _FENCE.finditer(text):
            parts += [_with_links(text[end : fence.start()], page), fence[0]]
            end = fence.end()
        text = "".join([*parts, _with_links(text[end:], page)])
    if name == root_doc:
        text += "\n" + "\n".join(_navigation(text))
    elif name == "docs/decisions/README":
        text += "\n" + _toctree("", [link[3] for link in _LINK.finditer(text) if link[3][0].isdigit()])
    source[0] = text


def _with_links(text: str, page: Path) -> str:
    return _LINK.sub(lambda link: _link(link, page), text)


def _link(link: re.Match[str], page: Path) -> str:
    """Return a link to a page or a picture as it is, one to another file or folder as it can be read."""
    path = link[3]
    target = (page.parent / path).resolve()
    if link[1] or "://" in path or path.startswith("mailto:") or not target.is_relative_to(TREE):
        return link[0]
    if target.suffix in {".md", ".ipynb", ".svg"}:
        return link[0]
    if REPOSITORY:
        return f"[{link[2]}]({REPOSITORY}/{target.relative_to(TREE).as_posix()})"
    return link[2] if target.is_dir() or not target.suffix else link[0]


def _navigation(text: str) -> list[str]:
    """Return a tree for each section of docs/README.md, of its links to pages."""
    found, sections = [], list(_SECTION.finditer(text))
    for section, after in zip(sections, [*sections[1:], None], strict=True):
        part = text[section.end() : after.start() if after else len(text)]
        pages = [link[3] for link in _LINK.finditer(part) if link[3].endswith(".md") and not link[3].startswith("..")]
        if section["bold"] == "Reference":
            pages.insert(0, "site/library.rst")
        found.append(_toctree(section["bold"] or section["plain"], list(dict.fromkeys(pages))))
    return [*found, _toctree("Project", [f"../{name}.md" for name in _PROJECT])]


def _toctree(caption: str, pages: list[str]) -> str:
    head = [f":caption: {caption}"] if caption else []
    return "\n".join(["```{toctree}", ":hidden:", ":maxdepth: 1", *head, "", *pages, "```", ""])


def mark_unlisted(_: Sphinx, name: str, source: list[str]) -> None:
    """Say of the few pages that are only linked that they are in no list."""
    if name in _UNLISTED:
        source[0] = "---\norphan: true\n---\n\n" + source[0]


def setup(app: Sphinx) -> None:
    """Take part in the reading of pages."""
    app.connect("source-read", read_page)
    app.connect("source-read", mark_unlisted)
