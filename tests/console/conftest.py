"""Fixtures of the console's tests: a browser, boxes to look at with it, and visits that are watched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect, sync_playwright

import gateway as gateways
import phi
from gateway import program  # noqa: F401 # a fixture
from box import room
from mock import Mock
from pki import Authority
from visit import Visit


def pytest_addoption(parser):
    parser.addoption("--screenshots", action="store_true", help="draw docs/screenshots anew")


def pytest_configure(config):
    # A machine that does much else at once; what has to be quick says so itself.
    expect.set_options(timeout=20_000)
    gateways.check_binary()
    # No patient in anything that a framegate writes; counts as one test.
    config.pluginmanager.register(phi.Search(config), "phi")


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("chromium is not installed")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--no-proxy-server", "--disable-features=LocalNetworkAccessChecks"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=flags)
        yield running
        running.close()


@pytest.fixture(scope="session")
def box(program, authority, tmp_path_factory):
    """A room that the tests share; whoever stops or pauses something in it starts it again."""
    with room(program, tmp_path_factory.mktemp("room") / "shared", authority) as running:
        yield running


@pytest.fixture
def mock():
    """A box that is not there, for states that are hard to bring about."""
    with Mock() as running:
        running.start()
        yield running
        running.stop()


@pytest.fixture
def visit(browser):
    """Opens a page that is watched until the end of the test: `visit(url, color_scheme="dark")`."""
    opened: list[Visit] = []

    def open_page(url: str, **context) -> Visit:
        one = Visit(browser, url, **context)
        opened.append(one)
        return one

    yield open_page
    for one in opened:
        one.close()
