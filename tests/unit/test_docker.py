"""The files for Docker and Kubernetes, as far as they can be checked without an engine."""

import re
from itertools import chain
from pathlib import Path

import pytest
import yaml
from batchlaw.cli import app
from typer.main import get_command

DOCKER = Path(__file__).parents[2] / "docker"
KUBERNETES = [
    (file.name, document)
    for file in sorted((DOCKER / "kubernetes").glob("*.yaml"))
    for document in yaml.safe_load_all(file.read_text())
]
COMPOSE = yaml.safe_load((DOCKER / "compose.yaml").read_text())
OURS = {name: service for name, service in COMPOSE["services"].items() if name != "db"}


def pods():
    return [
        (name, document["spec"]["template"]["spec"]) for name, document in KUBERNETES if "template" in document["spec"]
    ]


def containers():
    return [container for _, pod in pods() for container in chain(pod.get("initContainers", []), pod["containers"])]


def check_words(words):
    """That the command knows these words: a subcommand and its options."""
    command = get_command(app).commands[words[0]]
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words[1:]:
        if word.startswith("--"):
            assert word in known, word


def test_every_command_is_one_of_ours():
    for service in OURS.values():
        check_words([str(word) for word in service["command"]])
    for container in containers():
        check_words(container["args"])


def test_no_secret_stands_in_a_file():
    for file in DOCKER.rglob("*"):
        if not file.is_file():
            continue
        for line in file.read_text().splitlines():
            if line.lstrip().startswith("#"):
                continue
            given = re.search(r"(PASSWORD|TOKEN|password|token)\w*[:=]\s*(\S+)", line)
            assert given is None or given.group(2).startswith(("${", "'Bearer")), f"{file.name}: {line}"
            assert not re.search(r"://\w+:[^@$]+@", line), f"{file.name}: {line}"


def test_compose_waits_for_what_it_needs_and_watches_it():
    services = COMPOSE["services"]
    for name, service in services.items():
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in services
            assert condition["condition"] != "service_healthy" or "healthcheck" in services[needed]
        if name != "study":
            assert "healthcheck" in service
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in COMPOSE["volumes"]
    assert services["dashboard"]["ports"] == ["127.0.0.1:8080:8080"]
    grace = services["worker"]["stop_grace_period"]
    assert int(grace.removesuffix("s")) > 10  # a worker ends within ten seconds


def test_the_image_is_pinned_and_runs_as_nobody_in_particular():
    lines = [line.split() for line in (DOCKER / "Dockerfile").read_text().splitlines() if line.strip()]
    instructions = [line for line in lines if line[0].isupper() and not line[0].startswith("#")]
    assert all(re.search(r":\d+\.\d+\.\d+", line[1]) for line in instructions if line[0] == "FROM")
    user = [line[1] for line in instructions if line[0] == "USER"]
    assert user == ["10001"]
    assert "ARG" in {line[0] for line in instructions}
    root = DOCKER.parent
    for line in instructions:
        if line[0] == "COPY":
            for source in line[1:-1]:
                assert (root / source).exists(), source
                assert f"!{Path(source).name}" in (DOCKER / "Dockerfile.dockerignore").read_text()


@pytest.mark.parametrize(("name", "document"), KUBERNETES, ids=[f"{n}:{d['kind']}" for n, d in KUBERNETES])
def test_kubernetes_objects_have_what_their_kind_needs(name, document):
    versions = {"Job": "batch/v1", "Deployment": "apps/v1", "Service": "v1", "NetworkPolicy": "networking.k8s.io/v1"}
    assert document["apiVersion"] == versions[document["kind"]] and document["metadata"]["name"].startswith("batchlaw")
    if document["kind"] == "Deployment":
        labels = document["spec"]["template"]["metadata"]["labels"]
        assert document["spec"]["selector"]["matchLabels"] == labels
        (service,) = (other for _, other in KUBERNETES if other["kind"] == "Service")
        assert service["spec"]["selector"] == labels


def test_containers_ask_for_resources_take_secrets_by_reference_and_have_no_rights():
    for _, pod in pods():
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in pod["volumes"]}
    for container in containers():
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        for variable in container["env"]:
            if variable["name"] in ("PGPASSWORD", "BATCHLAW_TOKEN"):
                assert set(variable["valueFrom"]["secretKeyRef"]) == {"name", "key"}


def test_the_network_lets_nobody_in_but_at_the_port_of_the_dashboard():
    policies = [document["spec"] for _, document in KUBERNETES if document["kind"] == "NetworkPolicy"]
    labels = [
        document["spec"]["template"]["metadata"]["labels"]
        for _, document in KUBERNETES
        if "template" in document["spec"]
    ]
    for own in labels:
        chosen = [each for each in policies if each["podSelector"]["matchLabels"].items() <= own.items()]
        ports = [port["port"] for each in chosen for rule in each.get("ingress", []) for port in rule["ports"]]
        assert chosen and ports == (["http"] if own["app.kubernetes.io/component"] == "dashboard" else [])
