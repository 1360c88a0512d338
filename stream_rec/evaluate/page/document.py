"""A page of one file: text, tables and charts, with styles, scripts and data inside. It asks nothing of outside.

uPlot draws the charts. Of the libraries that draw lines which a legend hides and a pointer reads, it is by far the
smallest (51 KB; Vega-Lite takes 800, Plotly a megabyte and more), and each page carries it. Knows nothing of
evaluations.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import msgspec

from stream_rec.errors import SettingsError, StreamRecError
from stream_rec.evaluate.whole_table import WholeTable

__all__ = [
    "Chart",
    "Series",
    "bars_html",
    "charts_html",
    "check_page",
    "details_html",
    "facts_html",
    "lines_html",
    "section_html",
    "table_html",
    "write_page",
]

_STATIC: Final = files("stream_rec.evaluate.page") / "static"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a chart: a value for each x; None where there is none."""

    name: str
    values: Sequence[float | None]
    style: int
    """Its colour and its dashes; the same number looks alike in all charts of a page."""
    kind: Literal["line", "steps", "points"] = "line"


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """Lines over one x."""

    title: str
    x: Sequence[float]
    """Ascending; for `time`, ms since 1970."""
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_kind: Literal["number", "count", "time", "log", "words"] = "number"
    words: Sequence[str] = ()
    """For `words`: what 0, 1, 2 ... are called."""
    from_zero: bool = True
    """Whether y begins at 0; otherwise at the smallest value."""


def check_page(path: str | None) -> None:
    """Check, before the long pass, that a page can be written to *path*. Raises SettingsError."""
    if path is not None and (Path(path).is_dir() or not Path(path).parent.is_dir()):
        raise SettingsError("html", f"{path!r} is no file in a folder that exists")


def write_page(path: str, title: str, parts: Iterable[str]) -> None:
    """Write the page of *parts*, which are HTML, to *path*. Raises StreamRecError."""
    try:
        Path(path).write_text(_document(title, "\n".join(parts)), encoding="utf-8")
    except OSError as error:
        raise StreamRecError(f"cannot write {path!r}: {error.strerror}") from error


def _document(title: str, body: str) -> str:
    uplot_style, style, uplot, script = (
        (_STATIC / name).read_text(encoding="utf-8")
        for name in ("uPlot.min.css", "page.css", "uPlot.iife.min.js", "page.js")
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{uplot_style}\n{style}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escape(title)}</h1>\n{body}\n</main>\n"
        f"<script>{uplot}</script>\n<script>{script}</script>\n</body>\n</html>\n"
    )


def section_html(heading: str, *parts: str) -> str:
    """Return a section with a heading; nothing if there is nothing in it."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(heading)}</h2>\n{inside}\n</section>" if inside else ""


def lines_html(lines: Iterable[str], kind: str = "") -> str:
    """Return *lines* as paragraphs of the class *kind*."""
    return "\n".join(f'<p class="{kind}">{escape(line)}</p>' if kind else f"<p>{escape(line)}</p>" for line in lines)


def facts_html(facts: Mapping[str, str]) -> str:
    """Return names and what they are; what is empty is left out."""
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>\n" for name, text in facts.items() if text)
    return f"<dl>\n{rows}</dl>" if rows else ""


def details_html(summary: str, *parts: str) -> str:
    """Return what is shown when *summary* is opened."""
    return f"<details>\n<summary>{escape(summary)}</summary>\n" + "\n".join(parts) + "\n</details>"


def table_html(table: WholeTable) -> str:
    """Return *table* with its title; on a narrow screen it scrolls by itself."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "\n".join(
        f'<tr class="{style}"><th scope="row">{escape(cells[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:])
        + "</tr>"
        for cells, style in table.rows
    )
    # A region that scrolls can be reached by the keyboard only if it takes the focus.
    return (
        f"<h3>{escape(table.title)}</h3>\n"
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(table.title)}">'
        f'<table aria-label="{escape(table.title)}">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n"
        "</table></div>"
    )


def bars_html(title: str, shares: Mapping[str, float]) -> str:
    """Return a bar for each of *shares*, from 0 to 1, as long as its share of the largest."""
    most = max(shares.values(), default=0.0) or 1.0
    rows = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td class="bar"><i style="width:{share / most:.1%}"></i></td>'
        f"<td>{share:.2f}</td></tr>"
        for name, share in shares.items()
    )
    return (
        f'<h3>{escape(title)}</h3>\n<table class="bars" aria-label="{escape(title)}">\n'
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def charts_html(charts: Iterable[Chart]) -> str:
    """Return the places of *charts*, and what the script draws there."""
    figures = "\n".join(
        f"<figure><figcaption>{escape(chart.title)}</figcaption>"
        f'<script type="application/json">{_data(chart)}</script></figure>'
        for chart in charts
    )
    if not figures:
        return ""
    without = "<noscript><p>Charts need JavaScript; the tables hold the figures.</p></noscript>"
    return f'<div class="charts">\n{figures}\n</div>\n{without}'


def _data(chart: Chart) -> str:
    return msgspec.json.encode(chart).decode().replace("<", "\\u003c")  # a name must not end the script
