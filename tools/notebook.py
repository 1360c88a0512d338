"""Writes docs/tutorial/*.ipynb from the pages of the same names: the same text, code and output, in cells.

A page is written once and a notebook follows; `make docs` calls this, and a test fails while one is out of date.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

__all__ = ["notebook_of", "pages"]

TUTORIALS: Final = Path(__file__).parents[1] / "docs" / "tutorial"
FENCE: Final = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$\n?", re.MULTILINE | re.DOTALL)
COMMENT: Final = re.compile(r"^<!--.*?-->\n+", re.MULTILINE)


def pages() -> list[Path]:
    """Return the pages that have a notebook: those with Python to run."""
    return sorted(page for page in TUTORIALS.glob("*.md") if "\n```python\n" in page.read_text(encoding="utf-8"))


def notebook_of(page: Path) -> str:
    """Return the notebook of *page*, as JSON (nbformat 4.5)."""
    cells: list[dict[str, Any]] = []
    text, end = page.read_text(encoding="utf-8"), 0
    for match in FENCE.finditer(text):
        prose = text[end : match.start()]
        if match[1] == "python":
            _add_prose(cells, prose)
            cells.append(_code(match[2]))
        elif match[1] == "text" and not prose.strip() and cells and cells[-1]["cell_type"] == "code":
            cells[-1]["outputs"] = [{"name": "stdout", "output_type": "stream", "text": _lines(match[2])}]
        else:
            _add_prose(cells, prose + match[0])
        end = match.end()
    _add_prose(cells, text[end:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return (
        json.dumps(
            {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False
        )
        + "\n"
    )


def _add_prose(cells: list[dict[str, Any]], prose: str) -> None:
    text = COMMENT.sub("", prose).strip("\n")
    if text:
        cells.append({"cell_type": "markdown", "id": "", "metadata": {}, "source": _lines(text)})


def _code(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "",
        "metadata": {},
        "outputs": [],
        "source": _lines(source.rstrip("\n")),
    }


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> None:
    """Write all notebooks."""
    for page in pages():
        page.with_suffix(".ipynb").write_text(notebook_of(page), encoding="utf-8")


if __name__ == "__main__":
    main()
