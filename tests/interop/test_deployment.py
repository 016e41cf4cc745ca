"""The examples of `deploy/` for containers: they say the same of ports, paths and names, and their configurations load."""

import os
import pathlib
import re
import subprocess
import urllib.request

import pytest
import yaml

from conftest import BINARY, Authority, Portcullis, free_port

ROOT = pathlib.Path(__file__).parents[2]
DOCKERFILE = (ROOT / "deploy/container/Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text())
KUBERNETES = list(yaml.safe_load_all((ROOT / "deploy/kubernetes/portcullis.yaml").read_text()))
APP_POLICY = yaml.safe_load((ROOT / "deploy/kubernetes/app-network-policy.yaml").read_text())


def of_kind(kind):
    (found,) = [document for document in KUBERNETES if document["kind"] == kind]
    return found


def pod():
    return of_kind("Deployment")["spec"]["template"]["spec"]


def container():
    (only,) = pod()["containers"]
    return only


CONFIGURATIONS = {
    "compose": (ROOT / "deploy/compose/portcullis.yaml").read_text(),
    "kubernetes": of_kind("ConfigMap")["data"]["portcullis.yaml"],
}


def ports(name):
    return {listener["name"]: int(listener["address"].rsplit(":", 1)[1])
            for listener in yaml.safe_load(CONFIGURATIONS[name])["listeners"]}


def here(name, directory, hosts, replacements=()):
    """A configuration with the paths of its container moved below `directory`, where their files are."""
    authority = Authority(directory, *hosts)
    (directory / "oidc_client_secret").write_text("made-up-secret")
    text = CONFIGURATIONS[name]
    files = {
        "/etc/portcullis-tls/tls.crt": authority.cert_file, "/etc/portcullis-tls/tls.key": authority.key_file,
        "/run/secrets/tls_certificate": authority.cert_file, "/run/secrets/tls_key": authority.key_file,
        "/run/secrets/": f"{directory}/", "/var/lib/portcullis": directory,
    }
    for old, new in [*files.items(), *replacements]:
        text = text.replace(old, str(new))
    file = directory / "portcullis.yaml"
    file.write_text(text)
    return file


def environment():
    """What the Deployment gives its container, of secrets that hold something."""
    return {entry["name"]: "a-made-up-secret-of-some-length" for entry in container()["env"]}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_configuration_loads_without_a_warning(name, tmp_path):
    file = here(name, tmp_path, ["*.example.com"])
    done = subprocess.run([BINARY, "check", "--strict", "--config", file], capture_output=True, text=True,
                          env={**os.environ, **environment()}, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_image_runs_what_compose_and_kubernetes_expect():
    entrypoint, command = (re.search(rf"^{key} (\[.*\])$", DOCKERFILE, re.MULTILINE)[1] for key in ("ENTRYPOINT", "CMD"))
    assert yaml.safe_load(entrypoint) == ["portcullis"]
    assert yaml.safe_load(command) == container()["args"]
    path = yaml.safe_load(command)[2]
    assert any(volume.split(":")[1] == path for volume in COMPOSE["services"]["portcullis"]["volumes"])
    mounts = {mount["mountPath"]: mount for mount in container()["volumeMounts"]}
    # A file that is mounted alone is never changed.
    assert str(pathlib.Path(path).parent) in mounts and not any("subPath" in mount for mount in mounts.values())
    user = int(re.search(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)[1])
    assert user == pod()["securityContext"]["runAsUser"] == pod()["securityContext"]["fsGroup"]
    state = re.search(r"^VOLUME (.*)$", DOCKERFILE, re.MULTILINE)[1]
    assert f"state:{state}" in COMPOSE["services"]["portcullis"]["volumes"]
    assert state in mounts
    for text in CONFIGURATIONS.values():
        loaded = yaml.safe_load(text)
        written = [loaded["audit"]["dir"], loaded["authenticate"]["session"]["store"].removeprefix("file:")]
        assert all(path.startswith(state + "/") for path in written)
    # The binary is built as it is documented, and the compiler is the one that the workspace asks for.
    version = re.search(r'^rust-version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert f"FROM rust:{version}-" in DOCKERFILE and "--no-default-features" in DOCKERFILE


def test_compose_publishes_what_is_listened_on_and_mounts_each_secret():
    service = COMPOSE["services"]["portcullis"]
    published = {int(outside): int(inside) for outside, inside in (port.split(":") for port in service["ports"])}
    assert published == {443: ports("compose")["https"], 80: ports("compose")["http"]}
    named = set(re.findall(r"/run/secrets/(\w+)", CONFIGURATIONS["compose"]))
    assert named == set(service["secrets"]) == set(COMPOSE["secrets"])
    assert COMPOSE["networks"]["apps"]["internal"]
    (route,) = yaml.safe_load(CONFIGURATIONS["compose"])["routes"]
    app = re.match(r"http://(\w+):", route["to"])[1]
    # The app is reached through Portcullis or not at all.
    assert COMPOSE["services"][app]["networks"] == ["apps"] and "ports" not in COMPOSE["services"][app]


def test_the_parts_of_kubernetes_fit_each_other():
    declared = {port["name"]: port["containerPort"] for port in container()["ports"]}
    configuration = yaml.safe_load(CONFIGURATIONS["kubernetes"])
    admin = int(configuration["admin"]["address"].rsplit(":", 1)[1])
    assert declared == {**ports("kubernetes"), "admin": admin}
    service = of_kind("Service")["spec"]
    assert {(port["port"], port["targetPort"]) for port in service["ports"]} == {(443, "https"), (80, "http")}
    # Otherwise the client's address is lost.
    assert service["externalTrafficPolicy"] == "Local"
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        service["selector"], of_kind("Deployment")["spec"]["selector"]["matchLabels"],
        of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        APP_POLICY["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"],
    ]
    assert all(selector == labels for selector in selectors)
    assert {document["metadata"].get("namespace", "portcullis") for document in KUBERNETES} == {"portcullis"}
    used = {name for name in re.findall(r"\$\{env:(\w+)\}", CONFIGURATIONS["kubernetes"])}
    assert used == {entry["name"] for entry in container()["env"]}
    volumes = {volume["name"] for volume in pod()["volumes"]}
    assert volumes == {mount["name"] for mount in container()["volumeMounts"]}
    # The route leads to the app, and the app's own policy lets nobody else in.
    (route,) = configuration["routes"]
    name, namespace, port = re.match(r"http://(\w+)\.(\w+)\.svc\.cluster\.local:(\d+)$", route["to"]).groups()
    assert APP_POLICY["metadata"]["namespace"] == namespace
    assert APP_POLICY["spec"]["podSelector"]["matchLabels"] == {"app.kubernetes.io/name": name}
    assert APP_POLICY["spec"]["ingress"][0]["ports"] == [{"port": int(port)}]
    # One process writes the file of sessions.
    assert of_kind("Deployment")["spec"]["replicas"] == 1
    assert of_kind("Deployment")["spec"]["strategy"] == {"type": "Recreate"}


def test_probes_are_answered_by_address_and_without_a_token(tmp_path, monkeypatch):
    """As a kubelet asks: at the pod's address, with nothing but the path."""
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    admin = free_port()
    moved = [(f"[::]:{port}", f"127.0.0.1:{free_port()}") for port in ports("kubernetes").values()]
    file = here("kubernetes", tmp_path, ["*.example.com"], [*moved, ("[::]:9901", f"0.0.0.0:{admin}")])
    proxy = Portcullis(tmp_path, file, admin)
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container()[probe]["httpGet"]["path"]
        assert container()[probe]["httpGet"]["port"] == "admin"
        assert urllib.request.urlopen(f"http://127.0.0.2:{admin}{path}", timeout=5).status == 200
    proxy.stop()
