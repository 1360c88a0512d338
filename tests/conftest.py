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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests with a fixture of their module on one worker, before the workers read the groups.

    Fixtures of a session, the brokers among them, are made by each worker: tests mostly wait for those.
    """
    for item in items:
        if isinstance(item, pytest.Function):
            fixtures = item._fixtureinfo.name2fixturedefs.values()
            if any(each[-1].scope == "module" for each in fixtures):
                item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
