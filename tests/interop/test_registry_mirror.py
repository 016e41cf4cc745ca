"""Docker's own registry behind TLS with a private authority, and skopeo pushing and pulling through a mirror of it."""

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from conftest import Authority, Example, accepts, free_port, wait_for

# Larger than every buffer and window on the way. Compressed already, or skopeo would send something else.
LAYER = gzip.compress(os.urandom(48 * 1024 * 1024), compresslevel=0)


class Registry:
    """One `docker-registry` that answers to `name` and to nothing else: its certificate holds no other name."""

    def __init__(self, directory, authority, name, started, redirect=None):
        self.port, self.name = free_port(), name
        home = directory / name
        home.mkdir()
        self.storage = home / "storage"
        certificate, key = authority.issue(home, "registry", name)
        configuration = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(self.storage)}},
            "http": {"addr": f"127.0.0.1:{self.port}", "host": "", "secret": "test", "tls": {"certificate": str(certificate), "key": str(key)}},
            "log": {"level": "warn"},
        }
        if redirect:
            configuration["middleware"] = {"storage": [{"name": "redirect", "options": {"baseurl": redirect}}]}
        file = home / "config.yml"
        file.write_text(json.dumps(configuration))
        log = (home / "registry.log").open("wb")
        started.append(subprocess.Popen(["docker-registry", "serve", file], stdout=log, stderr=log))
        wait_for(lambda: accepts(self.port), "docker-registry", started[-1])


@pytest.fixture(scope="module")
def blobs(directory):
    """Where one registry sends its clients for layers: a plain file server."""
    storage = directory / "gcr.registry.internal" / "storage"

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(storage))

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


@pytest.fixture(scope="module")
def registries(directory, started, blobs):
    authority = Authority(directory, "unused.internal")
    docker = Registry(directory, authority, "docker.registry.internal", started)
    # Both hold the same images; this one does not hand out layers itself.
    gcr = Registry(directory, authority, "gcr.registry.internal", started, redirect=f"http://127.0.0.1:{blobs}")
    return authority, docker, gcr


@pytest.fixture(scope="module")
def mirror(directory, registries):
    """`config/registry-mirror.yaml`, with the test's registries in place of the public ones."""
    authority, docker, gcr = registries
    port = free_port()
    trust = f"    upstream_tls: {{ ca_file: {authority.ca_file}, server_name: NAME }}\n"
    replacements = [("0.0.0.0:8080", f"127.0.0.1:{port}"), (".localhost:8080", f".localhost:{port}")]
    for registry, public in ((docker, "registry-1.docker.io"), (gcr, "gcr.io")):
        replacements += [
            (f"    to: https://{public}\n", f"    to: https://127.0.0.1:{registry.port}\n" + trust.replace("NAME", registry.name)),
            (f"host_rewrite: {public}", f"host_rewrite: {registry.name}"),
        ]
    proxy = Example(directory, "registry-mirror.yaml", port, replacements)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="module")
def image(directory):
    """An image of one large layer, in the layout of the OCI."""
    layout = directory / "image"
    (layout / "blobs" / "sha256").mkdir(parents=True)

    def blob(content, kind):
        digest = hashlib.sha256(content).hexdigest()
        (layout / "blobs" / "sha256" / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(content)}

    layer = blob(LAYER, "layer.v1.tar+gzip")
    config = blob(json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}).encode(), "config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [layer]}).encode(), "manifest.v1+json")
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": "1"}}]}))
    return layout, layer["digest"], manifest["digest"]


def skopeo(mirror, *arguments):
    """Names under localhost need no resolver here: skopeo takes the mirror for its HTTP proxy and asks it by absolute URL."""
    environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{mirror.port}", "https_proxy": "", "no_proxy": ""}
    done = subprocess.run(["skopeo", "--insecure-policy", *arguments], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{done.stderr}\n{mirror.log.read_text()[-2000:]}"


@pytest.fixture(scope="module")
def pushed(mirror, image):
    layout, *_ = image
    skopeo(mirror, "copy", "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://docker.mirror.localhost:{mirror.port}/team/app:1")


def url(mirror, host, path):
    return f"http://127.0.0.1:{mirror.port}{path}", {"Host": f"{host}.mirror.localhost:{mirror.port}"}


def test_an_image_pushed_through_the_mirror_is_pulled_back_whole(mirror, image, pushed, directory):
    _, layer, _ = image
    pulled = directory / "pulled"
    skopeo(mirror, "copy", "--src-tls-verify=false", f"docker://docker.mirror.localhost:{mirror.port}/team/app:1", f"dir:{pulled}")
    assert (pulled / layer.removeprefix("sha256:")).read_bytes() == LAYER


def test_a_range_of_a_layer_arrives_as_that_range(mirror, image, pushed):
    _, layer, _ = image
    target, headers = url(mirror, "docker", f"/v2/team/app/blobs/{layer}")
    part = httpx.get(target, headers={**headers, "Range": "bytes=1000000-1999999"})
    assert part.status_code == 206
    assert part.headers["Content-Range"] == f"bytes 1000000-1999999/{len(LAYER)}"
    assert part.content == LAYER[1_000_000:2_000_000]


def test_an_upload_is_told_to_go_on_at_the_mirror(mirror):
    target, headers = url(mirror, "docker", "/v2/team/other/blobs/uploads/")
    begun = httpx.post(target, headers=headers)
    assert begun.status_code == 202
    # The registry makes its URLs of the forwarding headers, which only the proxy may write.
    assert re.match(rf"http://docker\.mirror\.localhost:{mirror.port}/v2/team/other/blobs/uploads/", begun.headers["Location"])


def test_a_redirect_to_another_host_is_the_clients_to_follow(mirror, image, pushed, registries, blobs):
    _, layer, manifest = image
    _, docker, gcr = registries
    shutil.copytree(docker.storage, gcr.storage, dirs_exist_ok=True)
    target, headers = url(mirror, "gcr", f"/v2/team/app/manifests/{manifest}")
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    assert httpx.get(target, headers={**headers, **accept}).json()["layers"][0]["digest"] == layer
    target, headers = url(mirror, "gcr", f"/v2/team/app/blobs/{layer}")
    sent_on = httpx.get(target, headers=headers)
    assert sent_on.status_code == 307
    assert sent_on.headers["Location"].startswith(f"http://127.0.0.1:{blobs}/")
    assert httpx.get(sent_on.headers["Location"]).content == LAYER


def test_nobody_pushes_to_the_mirror_that_only_reads(mirror):
    target, headers = url(mirror, "gcr", "/v2/team/app/blobs/uploads/")
    refused = httpx.post(target, headers=headers)
    assert refused.status_code == 405
    assert set(refused.headers["Allow"].replace(" ", "").split(",")) == {"GET", "HEAD"}


def test_every_request_went_to_the_registry_that_was_meant(mirror, registries):
    _, docker, gcr = registries
    records = mirror.records()
    for route, registry in (("docker", docker), ("gcr", gcr)):
        reached = {record["upstream"]["endpoint"] for record in records if record.get("route") == route and "upstream" in record}
        assert reached == {f"https://127.0.0.1:{registry.port}"}
