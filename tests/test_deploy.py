"""``deploy/``: every command in it is one, every file is there, and the programs take their files.

Images are built nowhere here.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import trustme
import yaml
from dotenv import dotenv_values

from voxpy.channels.sip.listener import SipListener
from voxpy.cli import main
from voxpy.project.routing import Routing, parse_routing

DEPLOY = Path(__file__).parents[1] / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    found
    for name in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((KUBERNETES / name).read_text())
]
PLACES = {
    "/srv/config/routing.yaml": str(KUBERNETES / "routing.yaml"),
    "/srv/secrets/secrets.env": str(KUBERNETES / "secrets.example.env"),
    "routing.yaml": str(DEPLOY / "fleet" / "routing.yaml"),
}
"""Where the files of a container are here."""


def pods() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Yield name, labels and description of each pod."""
    for found in OBJECTS:
        if found["kind"] in ("Deployment", "StatefulSet"):
            template = found["spec"]["template"]
            yield found["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def commands() -> dict[str, list[str]]:
    found = {
        f"compose {name}": shlex.split(service["command"])
        for name, service in COMPOSE["services"].items()
        if service.get("image") == "voxpy"
    }
    for name, _, pod in pods():
        for container in pod["containers"]:
            if container["image"] == "voxpy":
                found[f"kubernetes {name} {container['name']}"] = container["args"]
    return found


def parsed(words: list[str]) -> dict[str, Any]:
    """Return the parameters of a command line, as the real command reads them."""
    for there, here in PLACES.items():
        words = [here if w == there else w.replace(f"={there}", f"={here}") for w in words]
    command: click.Command = main
    context = main.make_context("voxpy", list(words))
    while isinstance(command, click.Group):
        name, below, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        assert below is not None
        command, context = below, below.make_context(name, rest, parent=context)
    return context.params


def routings() -> dict[str, tuple[Routing, Path]]:
    files = {"compose": DEPLOY / "fleet", "kubernetes": KUBERNETES}
    return {
        name: (parse_routing((folder / "routing.yaml").read_text()), folder)
        for name, folder in files.items()
    }


@pytest.mark.parametrize("of", commands())
def test_every_command_is_one(of: str) -> None:
    assert parsed(commands()[of])


def test_nobody_is_killed_while_it_drains() -> None:
    for name in ("host-1", "host-2"):
        service = COMPOSE["services"][name]
        drain_s = parsed(shlex.split(service["command"]))["drain_s"]
        assert int(service["stop_grace_period"].removesuffix("s")) > drain_s
    (host,) = [pod for name, _, pod in pods() if name == "host"]
    (container,) = host["containers"]
    before_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    drain_s = parsed(container["args"])["drain_s"]
    assert host["terminationGracePeriodSeconds"] > before_s + drain_s


@pytest.mark.parametrize("of", ["compose", "kubernetes"])
def test_a_routing_file_has_its_secrets_and_scenarios(of: str) -> None:
    routing, folder = routings()[of]
    text = (folder / "routing.yaml").read_text()
    named = set(re.findall(r"\b[A-Z]+_(?:URL|PASSWORD)\b", text))
    assert named <= set(dotenv_values(folder / "secrets.example.env"))
    for rule in routing.rules:
        for scenario in rule.scenarios:
            assert (DEPLOY.parent / scenario.removeprefix("/srv/calls/")).is_file()
    (channel,) = [c for c in routing.channels if isinstance(c, SipListener)]
    assert channel.host == "0.0.0.0"  # inside a container
    assert routing.fleet.redis
    assert routing.fleet.proxy


def test_files_that_are_mentioned_are_there() -> None:
    for service in COMPOSE["services"].values():
        if (build := service.get("build")) is not None:
            assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                example = source.replace("secrets.env", "secrets.example.env")
                assert (DEPLOY / example).exists(), source
            else:
                assert source in COMPOSE["volumes"]
    for image in DEPLOY.glob("*Dockerfile"):
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", image.read_text(), re.MULTILINE):
            for source in sources.split():
                assert (DEPLOY.parent / source).exists(), source
    made = [*KUSTOMIZATION["configMapGenerator"], *KUSTOMIZATION["secretGenerator"]]
    for entry in made:
        for file in entry["files"]:
            assert (KUBERNETES / file.rpartition("=")[2]).is_file()
    known = {entry["name"] for entry in made}
    images = {image["name"] for image in KUSTOMIZATION["images"]}
    for _, _, pod in pods():
        mounted = {volume["name"]: volume for volume in pod.get("volumes", ())}
        for volume in mounted.values():
            if "configMap" in volume or "secret" in volume:
                source = volume.get("configMap", {}).get("name") or volume["secret"]["secretName"]
                assert source in known
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["image"] in images or ":" in container["image"]
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounts <= {*mounted, "data"}  # which is claimed


def test_addresses_of_the_compose_file_are_those_of_its_routing() -> None:
    services = COMPOSE["services"]
    addresses = {
        name: service["networks"]["fleet"]["ipv4_address"]
        for name, service in services.items()
        if isinstance(service["networks"], dict)
    }
    fleet = routings()["compose"][0].fleet
    assert fleet.proxy is not None
    assert fleet.proxy.uri.host == addresses["kamailio"]
    assert [host.host for host in fleet.hosts] == [addresses["host-1"], addresses["host-2"]]
    for name in ("host-1", "host-2"):
        assert f"--fleet-url http://{addresses[name]}:8080" in services[name]["command"]


def test_services_and_budgets_find_their_pods() -> None:
    labelled = {labels["app"]: pod for _, labels, pod in pods()}
    for found in OBJECTS:
        selector = found.get("spec", {}).get("selector")
        if selector is None:
            continue
        app = selector.get("matchLabels", selector)["app"]
        if found["kind"] == "Service":
            ports = {p["name"] for c in labelled[app]["containers"] for p in c["ports"]}
            assert {port["targetPort"] for port in found["spec"]["ports"]} <= ports
    (host,) = [pod for name, _, pod in pods() if name == "host"]
    (container,) = host["containers"]
    options = parsed(container["args"])
    assert {p["containerPort"] for p in container["ports"]} == {options["port"], 5060}
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    assert host["hostNetwork"]


def run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def with_certificate(tmp_path: Path) -> Path:
    issued = trustme.CA().issue_cert("calls.example.com")
    issued.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "calls.pem"))
    return tmp_path


def told(program: str, package: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not here: apt-get install {package}")


def test_haproxy_takes_its_file(with_certificate: Path) -> None:
    told("haproxy", "haproxy")
    config = with_certificate / "haproxy.cfg"
    text = (DEPLOY / "haproxy.cfg").read_text()
    config.write_text(text.replace("/etc/haproxy", str(with_certificate)))
    run("haproxy", "-c", "-f", str(config))


def test_nginx_takes_its_file(with_certificate: Path) -> None:
    told("nginx", "nginx-light")
    config = with_certificate / "nginx.conf"
    text = (DEPLOY / "nginx.conf").read_text()
    config.write_text(text.replace("/etc/nginx", str(with_certificate)))
    run("nginx", "-t", "-c", str(config), "-g", f"pid {with_certificate}/pid; error_log stderr;")


def test_envoys_file_asks_for_health_and_lets_streams_be() -> None:
    resources = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())["static_resources"]
    (cluster,) = resources["clusters"]
    assert cluster["health_checks"][0]["http_health_check"] == {"path": "/health"}
    (chain,) = resources["listeners"][0]["filter_chains"]
    manager = chain["filters"][0]["typed_config"]
    assert manager["upgrade_configs"] == [{"upgrade_type": "websocket"}]
    routes = manager["route_config"]["virtual_hosts"][0]["routes"]
    assert {r["match"].get("path") for r in routes[:-1]} == {"/health", "/metrics"}
    assert (routes[-1]["route"]["cluster"], routes[-1]["route"]["timeout"]) == ("hosts", "0s")


def test_kustomize_takes_the_manifests() -> None:
    told("kubectl", "kubectl, of its own repository")
    run("kubectl", "kustomize", str(KUBERNETES))
