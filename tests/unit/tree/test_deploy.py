"""What the service is deployed with asks for what there is: flags, settings, paths, ports, folders, the user.

Kubernetes, systemd, Compose and the image are read as files: no cluster and no engine is needed.
"""

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from web import Client, embedded

from stream_rec._version import __version__
from stream_rec.cli.main import cli
from stream_rec.errors import SettingsError
from stream_rec.settings import Settings, load, table
from stream_rec.web.server import parse_address

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "stream-rec.service"
KUBERNETES = ROOT / "deploy" / "kubernetes"
BASE = KUBERNETES / "base"
EXAMPLE = KUBERNETES / "example"
MONITOR = KUBERNETES / "components" / "service-monitor"
COMPOSE = ROOT / "docker-compose.yml"
UID = 10001
MIB = 1 << 20


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def objects() -> dict[str, dict[str, Any]]:
    """All objects of the base, by kind and name."""
    files = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))["resources"]
    return {f"{each['kind']}/{each['metadata']['name']}": each for file in files for each in documents(BASE / file)}


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = objects()["StatefulSet/stream-rec"]["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


def environment() -> dict[str, str]:
    """The variables of the container; the pod's name stands for what Kubernetes fills in."""
    return {each["name"]: each.get("value", "stream-rec-0") for each in container()["env"]}


def unit() -> list[tuple[str, str]]:
    """All assignments of the unit, in order."""
    text = UNIT.read_text(encoding="utf-8").replace("\\\n", " ")
    return [(key, value) for key, value in re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE)]


def started(arguments: list[str], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings of `stream-rec run` with these arguments, *config* in place of the file that they name."""
    name, *rest = arguments
    assert "run" == name
    parameters = cli.commands["run"].make_context("run", rest).params
    assert (parameters["config"] is None) is (config is None)
    return load(config=config, environ=environ, flags={each.name: parameters[each.name] for each in table()})


def of_unit() -> Settings:
    folders = {"%E": "/etc", "%S": "/var/lib", "%C": "/var/cache", "%t": "/run", "%H": "host"}
    (line,) = (value for key, value in unit() if key == "ExecStart")
    program, *arguments = shlex.split(re.sub(r"%\w", lambda found: folders[found[0]], line))
    assert "stream-rec" == Path(program).name
    assert "/etc/stream-rec/stream-rec.toml" in arguments
    return started(arguments, {}, UNIT.with_name("stream-rec.toml"))


def of_kubernetes(folder: Path) -> Settings:
    mounted = {each["mountPath"] for each in container()["volumeMounts"]}
    arguments = list(container()["args"])
    file = Path(arguments[arguments.index("--config") + 1])
    assert str(file.parent) in mounted
    return started(arguments, environment(), folder / file.name)


def of_compose(name: str) -> Settings:
    service = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"][name]
    return started(service["command"], service["environment"])


def secrets_in(settings: Settings) -> Iterator[str]:
    """Files that hold the keys and passwords of *settings*."""
    for text in (*settings.http_keys, *settings.kafka.values()):
        yield from re.findall(r"file:(\S+)", str(text))


def size(text: str) -> int:
    number, suffix = re.fullmatch(r"(\d+)([MG])i?", text).groups()  # type: ignore[union-attr]  # it is such a text
    return int(number) * MIB * {"M": 1, "G": 1024}[suffix]


# ------------------------------------------------------------------------------- what they start


SETTINGS: dict[str, Callable[[], Settings]] = {
    "systemd": of_unit,
    "kubernetes/base": lambda: of_kubernetes(BASE),
    "kubernetes/example": lambda: of_kubernetes(EXAMPLE),
    "compose": lambda: of_compose("stream-rec"),
    "compose, the second": lambda: of_compose("stream-rec-2"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_program_takes_what_it_is_started_with(name: str) -> None:
    """Flags, variables and the file: a service on topics, with HTTP and snapshots."""
    settings = SETTINGS[name]()
    assert settings.events.startswith("kafka://")
    assert settings.http is not None
    assert settings.snapshots is not None


def test_another_flag_or_setting_is_found(tmp_path: Path) -> None:
    """What the program would refuse fails here too."""
    config = tmp_path / "stream-rec.toml"
    config.write_text('event = "clicks.jsonl"\n', encoding="utf-8")
    with pytest.raises(SettingsError, match="did you mean 'events'"):
        started(["run", "--config", str(config)], {}, config)
    with pytest.raises(SettingsError, match="STREAM_REC_GROUP"):
        started(["run", "--events", "-"], {"STREAM_REC_GROUPS": "shop"})
    with pytest.raises(Exception, match="No such option"):
        started(["run", "--snapshot-folder", "x"], {})


def test_the_simulator_takes_its_arguments() -> None:
    """Those of Compose, with the default of its rate."""
    command = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["simulator"]["command"]
    name, *arguments = (re.sub(r"\$\{\w+:-(\w+)\}", r"\1", each) for each in command)
    assert cli.commands[name].make_context(name, arguments).params["rate"] == 50


@pytest.mark.parametrize("name", ["systemd", "kubernetes/base", "kubernetes/example"])
def test_beyond_this_machine_it_needs_keys(name: str) -> None:
    """Only Compose, whose port is published to one machine, goes without."""
    settings = SETTINGS[name]()
    assert not settings.http_hosts
    assert {"shop:read+write", "prometheus:read"} == {text.partition(":file:")[0] for text in settings.http_keys}


@pytest.mark.parametrize("name", SETTINGS)
def test_none_accepts_any_host(name: str) -> None:
    """Compose names its hosts, those that Prometheus calls."""
    assert not SETTINGS[name]().insecure
    if name.startswith("compose"):
        assert ("stream-rec", "stream-rec-2") == SETTINGS[name]().http_hosts


# -------------------------------------------------------------------------------- HTTP and ports


def probes() -> dict[str, dict[str, Any]]:
    return {name: container()[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}


def test_probed_paths_answer_without_a_key(tmp_path: Path) -> None:
    """Kubernetes has no key. The monitor's path asks for one with the scope `read`, and it gives one."""
    assert {"startup": "/livez", "liveness": "/livez", "readiness": "/readyz"} == {
        name: probe["path"] for name, probe in probes().items()
    }
    (endpoint,) = documents(MONITOR / "service-monitor.yaml")[0]["spec"]["endpoints"]
    key = tmp_path / "prometheus-key"
    key.write_text("a-key-for-prometheus", encoding="utf-8")
    with embedded(http_keys=(f"prometheus:read:file:{key}",)) as running:
        client = Client(running.server.port)
        assert [200] * 3 == [client("GET", probe["path"]).status for probe in probes().values()]
        assert 401 == client("GET", endpoint["path"]).status
        assert 200 == Client(running.server.port, key.read_text(encoding="utf-8"))("GET", endpoint["path"]).status


def test_ports_agree() -> None:
    """The program, the container, both Services, the probes, the monitor and the policy mean one port."""
    (port,) = container()["ports"]
    for folder in (BASE, EXAMPLE):
        assert ("0.0.0.0", port["containerPort"]) == parse_address(of_kubernetes(folder).http or "")  # noqa: S104
    assert {port["name"]} == {probe["port"] for probe in probes().values()}
    services = [each for key, each in objects().items() if key.startswith("Service/")]
    assert 2 == len(services)
    for service in services:
        (offered,) = service["spec"]["ports"]
        assert port["name"] == offered["targetPort"] == offered["name"]
    (endpoint,) = documents(MONITOR / "service-monitor.yaml")[0]["spec"]["endpoints"]
    assert port["name"] == endpoint["port"]
    policy = objects()["NetworkPolicy/stream-rec"]["spec"]
    (patch,) = yaml.safe_load((MONITOR / "network-policy.yaml").read_text(encoding="utf-8"))
    for rule in (*policy["ingress"], patch["value"]):
        assert [{"port": port["name"]}] == rule["ports"]


def test_brokers_are_reachable() -> None:
    """The policy lets the service out to the brokers' ports, and to ask for names."""
    policy = objects()["NetworkPolicy/stream-rec"]["spec"]
    assert {"Ingress", "Egress"} == set(policy["policyTypes"])
    open_ports = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    asked = {
        int(port)
        for folder in (BASE, EXAMPLE)
        for settings in (of_kubernetes(folder),)
        for address in (settings.events, settings.recommendations, settings.dead_letters)
        for port in re.findall(r":(\d+)", str(address))
    }
    assert asked | {53} == open_ports


# ------------------------------------------------------------------- folders, the user, the image


def image() -> str:
    return (ROOT / "Dockerfile").read_text(encoding="utf-8")


def written() -> set[str]:
    """The folders that the image's user owns, to write to."""
    (line,) = re.findall(r"mkdir -p (.*) \\$", image(), re.MULTILINE)
    return set(line.split())


def test_the_image_says_where_it_writes() -> None:
    """Snapshots, compiled kernels and the status file, as variables and the volume say."""
    variables = dict(re.findall(r"(NUMBA_CACHE_DIR|STREAM_REC_STATUS_FILE)=(\S+)", image()))
    assert written() == {
        variables["NUMBA_CACHE_DIR"],
        str(Path(variables["STREAM_REC_STATUS_FILE"]).parent),
        *re.findall(r"^VOLUME (\S+)$", image(), re.MULTILINE),
    }
    assert f"USER {UID}:{UID}" in image()
    assert re.search(rf"useradd --uid {UID} --gid {UID}\b", image())


def test_kubernetes_mounts_what_is_written_to() -> None:
    """With a read-only root, each of these folders is a volume that the image's user may write to."""
    mounted = {each["mountPath"]: each for each in container()["volumeMounts"]}
    assert written() == {path for path, each in mounted.items() if not each.get("readOnly")}
    assert {UID} == {pod()["securityContext"][name] for name in ("runAsUser", "runAsGroup", "fsGroup")}
    volumes = {each["name"] for each in pod()["volumes"]}
    claims = {each["metadata"]["name"] for each in objects()["StatefulSet/stream-rec"]["spec"]["volumeClaimTemplates"]}
    assert {each["name"] for each in mounted.values()} == volumes | claims
    (snapshots,) = claims
    assert snapshots == mounted["/var/lib/stream-rec/snapshots"]["name"]
    folder = Path(str(of_kubernetes(BASE).snapshots))
    assert folder.is_relative_to("/var/lib/stream-rec/snapshots")


def test_compiled_kernels_are_copied_into_their_volume() -> None:
    """From the image's folder, by a container that mounts the volume elsewhere."""
    (first,) = pod()["initContainers"]
    (mount,) = first["volumeMounts"]
    (kernels,) = (each for each in container()["volumeMounts"] if each["name"] == mount["name"])
    assert ["cp", "-R", f"{kernels['mountPath']}/.", f"{mount['mountPath']}/"] == first["command"]
    assert kernels["mountPath"] != mount["mountPath"]


def test_compose_mounts_what_is_written_to() -> None:
    """Both replicas, each with folders of its own."""
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    volumes = []
    for name in ("stream-rec", "stream-rec-2"):
        service = services[name]
        assert service["read_only"]
        (temporary,) = service["tmpfs"]
        path, _, options = temporary.partition(":")
        assert f"uid={UID},gid={UID}" == options
        pairs = [each.split(":") for each in service["volumes"]]
        assert written() == {path, *(inside for _, inside in pairs)}
        volumes += [volume for volume, _ in pairs]
    assert len(volumes) == len(set(volumes))


def test_no_container_may_more_than_it_needs() -> None:
    """What Kubernetes calls the restricted profile."""
    assert pod()["securityContext"]["runAsNonRoot"]
    assert "RuntimeDefault" == pod()["securityContext"]["seccompProfile"]["type"]
    assert not pod()["automountServiceAccountToken"]
    for each in (container(), *pod()["initContainers"]):
        least = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        assert least == each["securityContext"]


def test_variables_of_the_service_are_not_taken_for_settings() -> None:
    """Kubernetes would set STREAM_REC_SERVICE_HOST and others: a Service has the name of the settings' prefix."""
    assert pod()["enableServiceLinks"] is False


def test_systemd_owns_what_is_written_to() -> None:
    """State, cache and run: folders of the unit, which the program is started with."""
    given = dict(unit())
    settings = of_unit()
    assert {"stream-rec"} == {given[f"{kind}Directory"] for kind in ("Configuration", "State", "Cache", "Runtime")}
    assert Path(str(settings.snapshots)).is_relative_to("/var/lib/stream-rec")
    assert Path(str(settings.status_file)).is_relative_to("/run/stream-rec")
    assert ("Environment", "NUMBA_CACHE_DIR=%C/stream-rec") in unit()
    assert "MemoryDenyWriteExecute" not in given  # compiled kernels are code


# ----------------------------------------------------------------------- secrets, sizes, stopping


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_kubernetes_secrets_are_mounted_where_settings_name_them(folder: Path) -> None:
    """Each is a key of the one Secret, which the page creates with all of them."""
    (secret,) = (each["secret"]["secretName"] for each in pod()["volumes"] if "secret" in each)
    (path,) = (each["mountPath"] for each in container()["volumeMounts"] if each["name"] == "secrets")
    files = [Path(file) for file in secrets_in(of_kubernetes(folder))]
    assert {path} == {str(file.parent) for file in files}
    page = (ROOT / "docs" / "how-to" / "kubernetes.md").read_text(encoding="utf-8")
    assert f"create secret generic {secret} " in page
    assert {file.name for file in files} <= set(re.findall(r"--from-(?:literal|file)=([\w-]+)=", page))
    (endpoint,) = documents(MONITOR / "service-monitor.yaml")[0]["spec"]["endpoints"]
    credentials = endpoint["authorization"]["credentials"]
    assert (secret, True) == (credentials["name"], credentials["key"] in {file.name for file in files})


def test_systemd_secrets_are_loaded_where_settings_name_them() -> None:
    """The unit loads each, from files that only root reads."""
    loaded = dict(value.split(":") for key, value in unit() if key == "LoadCredential")
    assert {f"/run/credentials/{UNIT.name}/{name}" for name in loaded} == set(secrets_in(of_unit()))
    assert {f"/etc/stream-rec/secrets/{name}" for name in loaded} == set(loaded.values())


def test_the_index_is_at_most_60_percent_of_the_memory() -> None:
    """As the page on memory advises."""
    replaced = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8"))["patches"][0]["patch"]
    (more,) = yaml.safe_load(replaced)
    for limit, settings in (
        (dict(unit())["MemoryMax"], of_unit()),
        (container()["resources"]["limits"]["memory"], of_kubernetes(BASE)),
        (more["value"]["limits"]["memory"], of_kubernetes(EXAMPLE)),
    ):
        assert settings.max_bytes is not None
        assert 0.5 < settings.max_bytes / size(limit) <= 0.6


def test_an_orderly_stop_has_its_ten_seconds() -> None:
    """With systemd, with Compose, and with Kubernetes after what runs before the signal."""
    assert int(dict(unit())["TimeoutStopSec"]) > 10
    assert "SIGTERM" == dict(unit())["KillSignal"]
    _, before = container()["lifecycle"]["preStop"]["exec"]["command"]
    assert pod()["terminationGracePeriodSeconds"] - int(before) > 10
    services = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    for name in ("stream-rec", "stream-rec-2"):
        assert int(services[name]["stop_grace_period"].removesuffix("s")) > 10


def test_a_wrong_setting_is_not_tried_again() -> None:
    """Exit code 2."""
    given = dict(unit())
    assert ("on-failure", "2") == (given["Restart"], given["RestartPreventExitStatus"])


# ---------------------------------------------------------------------------------- selectors


def test_selectors_find_the_pods() -> None:
    """None is empty: an empty one means every pod of the namespace."""
    found = objects()
    stateful = found["StatefulSet/stream-rec"]["spec"]
    labels = stateful["template"]["metadata"]["labels"].items()
    selectors = [
        stateful["selector"]["matchLabels"],
        found["PodDisruptionBudget/stream-rec"]["spec"]["selector"]["matchLabels"],
        found["NetworkPolicy/stream-rec"]["spec"]["podSelector"]["matchLabels"],
        found["Service/stream-rec"]["spec"]["selector"],
        found["Service/stream-rec-pods"]["spec"]["selector"],
        *(each["labelSelector"]["matchLabels"] for each in pod()["topologySpreadConstraints"]),
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels


def test_the_monitor_finds_one_service() -> None:
    """With the job that the alerts look for; with both Services it would read each replica twice."""
    monitor = documents(MONITOR / "service-monitor.yaml")[0]["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    services = {key: each["metadata"]["labels"] for key, each in objects().items() if key.startswith("Service/")}
    assert ["Service/stream-rec"] == [key for key, labels in services.items() if wanted <= labels.items()]
    assert "stream-rec" == services["Service/stream-rec"][monitor["jobLabel"]]
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert {"stream-rec"} == set(re.findall(r'job="([^"]+)"', alerts))


def test_the_statefulset_has_its_service() -> None:
    """A headless one, which names replicas that are not ready too."""
    service = objects()[f"Service/{objects()['StatefulSet/stream-rec']['spec']['serviceName']}"]["spec"]
    assert ("None", True) == (service["clusterIP"], service["publishNotReadyAddresses"])


def test_the_example_changes_what_there_is() -> None:
    """Image, replicas and settings are those of the base, by name; its tag and the image's label are the version."""
    overlay = yaml.safe_load((EXAMPLE / "kustomization.yaml").read_text(encoding="utf-8"))
    base = yaml.safe_load((BASE / "kustomization.yaml").read_text(encoding="utf-8"))
    assert {each["name"] for each in overlay["images"]} == {
        each["image"] for each in (container(), *pod()["initContainers"])
    }
    assert [each["name"] for each in overlay["configMapGenerator"]] == [
        each["name"] for each in base["configMapGenerator"]
    ]
    assert {f"StatefulSet/{each['name']}" for each in overlay["replicas"]} <= objects().keys()
    assert [__version__] == [each["newTag"] for each in overlay["images"]]
    assert f"ARG VERSION={__version__}\n" in image()


# ----------------------------------------------------------------------------- by their own tools


def run(*command: str) -> str:
    """Run a tool that may be missing."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]}: what it would find is not looked for")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Without a warning. A program that is there stands for ours, which may not be installed."""
    (program,) = re.findall(r"^ExecStart=(\S+)", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text(encoding="utf-8").replace(program, "/bin/true"), encoding="utf-8")
    assert "" == run("systemd-analyze", "verify", str(copy))


@pytest.mark.parametrize("folder", [BASE, EXAMPLE], ids=lambda folder: folder.name)
def test_kustomize_builds_it(folder: Path) -> None:
    """Every object; the pods mount the settings by the name that has their hash."""
    built = list(yaml.safe_load_all(run("kubectl", "kustomize", str(folder))))
    (settings,) = (each for each in built if each["kind"] == "ConfigMap")
    (stateful,) = (each for each in built if each["kind"] == "StatefulSet")
    volumes = stateful["spec"]["template"]["spec"]["volumes"]
    assert [settings["metadata"]["name"]] == [each["configMap"]["name"] for each in volumes if "configMap" in each]
    assert re.fullmatch(r"stream-rec-\w{10}", settings["metadata"]["name"])
    assert objects().keys() <= {f"{each['kind']}/{each['metadata']['name']}" for each in built}
    assert (folder == EXAMPLE) is any(each["kind"] == "ServiceMonitor" for each in built)
