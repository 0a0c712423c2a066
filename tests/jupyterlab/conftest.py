"""One JupyterLab for all its tests."""

import pytest
from playwright.sync_api import Page

from tests.support.jupyterlab import Lab, requests_outside


@pytest.fixture(scope="package")
def lab(tmp_path_factory):
    running = Lab(tmp_path_factory.mktemp("lab"))
    yield running
    running.stop()


@pytest.fixture
def outside(page: Page):
    return requests_outside(page)
