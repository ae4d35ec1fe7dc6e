"""Fixtures of the interoperability tests: certificates, a running gateway, and its clients."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import requests
from dicomweb_client.api import DICOMwebClient

import gateway as gateways
import phi
from gateway import Gateway, program  # noqa: F401 # one is a fixture
from inline import Inline
from pki import Authority


def pytest_configure(config):
    gateways.check_binary()
    config.pluginmanager.register(phi.Search(config), "phi")


@pytest.fixture
def runtime(tmp_path, monkeypatch) -> Path:
    """A runtime directory for the service to be started with, as systemd gives it."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def gateway(program, authority, tmp_path_factory):
    """A gateway that the tests share; every test has its own study in it."""
    # The whole matrix passes through within the age that an ended series may reach.
    hub = {"linger_ms": 100, "budget_bytes": 2 << 30}
    running = Gateway(program, tmp_path_factory.mktemp("shared"), authority, hub=hub)
    yield running
    assert running.stop() == 0, running.output


@pytest.fixture
def own_gateway(program, authority, tmp_path):
    """Starts gateways with settings of the test's own: `own_gateway(hub={"linger_ms": 5000})`."""
    started: list[Gateway] = []

    def start(**sections: dict) -> Gateway:
        one = Gateway(program, tmp_path / f"gateway-{len(started)}", authority, **sections)
        started.append(one)
        return one

    yield start
    for one in started:
        if one.child.poll() is None:
            one.child.kill()
        one.wait()


@pytest.fixture(scope="session")
def inline(program, authority, tmp_path_factory):
    """A gateway between two peers, which the tests share."""
    folder = tmp_path_factory.mktemp("inline")
    running = Inline(lambda **sections: Gateway(program, folder, authority, **sections))
    yield running
    running.close()


@pytest.fixture(scope="session")
def http(authority) -> requests.Session:
    """An HTTP client that trusts the test authority."""
    session = requests.Session()
    session.verify = str(authority.ca)
    # The environment's proxies and authorities (REQUESTS_CA_BUNDLE) would win over ours.
    session.trust_env = False
    return session


@pytest.fixture(scope="session")
def dicomweb(gateway, http) -> DICOMwebClient:
    """A standard DICOMweb client of the shared gateway."""
    return DICOMwebClient(url=gateway.base, session=http)


@pytest.fixture(scope="session")
def objects_folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("objects")


def tool(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
    """Runs a command-line peer; its standard output and error come back as one text."""
    if shutil.which(arguments[0]) is None:
        pytest.skip(f"{arguments[0]} is not installed")
    done = subprocess.run(
        [str(a) for a in arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=120,
        check=False,
    )
    if check:
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}"
    return done
