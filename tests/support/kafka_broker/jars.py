"""Apache Kafka as jars from Maven Central: fetched once by mvn, kept in a folder that git ignores."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kafka_broker.base import BrokerMissing

POM: Final = Path(__file__).with_name("pom.xml")
CACHE_VARIABLE: Final = "STREAM_REC_KAFKA_CACHE"
MIN_JAVA: Final = 17
"""Kafka 4's brokers need it."""
FETCH_S: Final = 300
NEEDED: Final = (
    "Needed are java 17 or newer and mvn, as packages: openjdk-17-jre-headless and maven "
    "(Debian, Ubuntu), java-17-openjdk-headless and maven (Fedora), openjdk and maven (Homebrew)."
)


def cache() -> Path:
    """The folder of fetched jars, which git ignores."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path(__file__).parents[3] / ".kafka")


def java() -> str:
    """The path of a java that is new enough."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if not found:
        raise BrokerMissing(f"there is no java here. {NEEDED}")
    version = java_version(found)
    if version < MIN_JAVA:
        raise BrokerMissing(f"{found} is Java {version}. {NEEDED}")
    return found


def keytool(java_path: str) -> str:
    """The keytool that came with this java."""
    beside = Path(java_path).resolve().with_name("keytool")
    if not beside.exists():
        raise BrokerMissing(f"there is no keytool beside {java_path}, and a secured broker needs a certificate")
    return str(beside)


def java_version(java_path: str) -> int:
    """Return the major version; 0 where it is unknown."""
    try:
        done = subprocess.run([java_path, "-version"], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def fetched() -> Path:
    """The folder of Kafka's jars, fetched now if this pom's are not there yet; `BrokerMissing` where that fails."""
    # Another pom is another folder, so that a changed version is never mixed with the old one's jars.
    folder = cache() / f"jars-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.exists():
        _fetch(folder)
    return folder


def _fetch(folder: Path) -> None:
    mvn = maven("Kafka's jars")
    with filled_at_once(folder) as unfinished:
        _mvn(mvn, unfinished)


def maven(what: str) -> str:
    """Return the path of mvn; `BrokerMissing` where there is none to fetch *what* with."""
    mvn = shutil.which("mvn")
    if not mvn:
        raise BrokerMissing(f"there is no mvn here to fetch {what} with. {NEEDED}")
    return mvn


@contextmanager
def filled_at_once(folder: Path) -> Iterator[Path]:
    """A path for the content of *folder*, which gets its name at the end: it is complete, even if two processes fetch.

    Other files may stand beside it meanwhile; they are removed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        unfinished = Path(temporary, "content")
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.exists():
                raise


def _mvn(mvn: str, target: Path) -> None:
    command = [mvn, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies"]
    options = ["-DincludeScope=runtime", f"-DoutputDirectory={target}"]
    try:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, timeout=FETCH_S)
    except subprocess.TimeoutExpired:
        raise BrokerMissing(f"mvn did not fetch Kafka's jars within {FETCH_S} s") from None
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-10:])
        raise BrokerMissing(f"mvn could not fetch Kafka's jars:\n{tail}")
