"""The files of the dashboard, without a browser: all that the page loads is in the package."""

import re
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import PurePosixPath

STATIC = files("stream_rec").joinpath("web", "static")
SCRIPTS = [file for file in STATIC.iterdir() if file.name.endswith(".js")]
IMPORT = re.compile(r'^import \{([^}]+)\} from "\./([^"]+)"', re.MULTILINE)


def test_the_page_finds_its_files() -> None:
    """Every script, style and picture that it and the viewer of the API name exists."""
    page = "".join(STATIC.joinpath(name).read_text(encoding="utf-8") for name in ("index.html", "docs.html"))
    named = re.findall(r'(?:src|href)="/static/([^"]+)"', page)
    assert {"app.js", "style.css", "theme.js", "icon.svg", "swagger-ui/swagger-ui-bundle.js"} <= set(named)
    assert [] == [name for name in named if not STATIC.joinpath(name).is_file()]


def test_scripts_import_names_that_exist() -> None:
    """Every imported module is a file beside the script, and exports every imported name."""
    n_names = 0
    for script in SCRIPTS:
        for names, module in IMPORT.findall(script.read_text(encoding="utf-8")):
            text = STATIC.joinpath(module).read_text(encoding="utf-8")
            for name in filter(None, map(str.strip, names.split(","))):
                assert re.search(rf"^export (async )?(const|function\*?|class) {name}\b", text, re.MULTILINE), (
                    f"{script.name}: {name} of {module}"
                )
                n_names += 1
    assert n_names > 20


def test_no_scripts_import_each_other_in_a_circle() -> None:
    """Each script can be understood from those that it imports, without the scripts that import it."""
    imports = {
        script.name: {module for _, module in IMPORT.findall(script.read_text(encoding="utf-8"))} for script in SCRIPTS
    }
    assert sum(map(len, imports.values())) > 20
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


def test_nothing_is_fetched_from_elsewhere() -> None:
    """No address of another host, no markup made from text, no style sheet that imports another."""
    for file in STATIC.iterdir():
        if PurePosixPath(file.name).suffix in {".js", ".css", ".html"}:
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?://[a-z0-9]", text), file.name
            assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|@import", text), (
                file.name
            )
