"""What all tests share: Hypothesis profiles, the folder of real logs, and a Kafka broker (see kafka_broker)."""

import os
from pathlib import Path

import hypothesis
import pytest

pytest_plugins = ["kafka_broker.plugin"]

# A shared machine stalls for longer than any deadline would forgive; timing is for benchmarks.
hypothesis.settings.register_profile("default", deadline=None)
# For planted bugs: that a test fails is the question there, not by how little.
hypothesis.settings.register_profile(
    "unshrunk", deadline=None, phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate]
)
hypothesis.settings.load_profile("default")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real logs, which are not the project's to copy; skips where there is none."""
    folder = os.environ.get("STREAM_REC_DATA")
    if not folder:
        pytest.skip("STREAM_REC_DATA is not set: real logs are not part of the project")
    return Path(folder)


@pytest.fixture(scope="session")
def tree() -> Path:
    """The folder that holds tests/, docs/ and tools/."""
    return Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share a broker, or a fixture of their module, on one worker: else each worker makes its own."""
    for item in items:
        group = _shared(item)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))


def _shared(item: pytest.Item) -> str | None:
    if not isinstance(item, pytest.Function):
        return None
    for name in ("secured_broker", "broker"):
        if name in item.fixturenames:
            return name
    fixtures = item._fixtureinfo.name2fixturedefs.values()
    has_own = any(each[-1].scope == "module" for each in fixtures)
    return item.nodeid.partition("::")[0] if has_own else None
