"""Which tests belong to which tier, and which must run one after the other.

``make quick`` runs what needs neither a browser nor a lesson, ``make test`` all but what is marked ``gate``, and
``make check`` both that and the rest.
"""

import os
import re
from collections.abc import Iterable

import pytest

#: Fixtures that start a browser, and the fixture and the rooms that need executed lessons.
BROWSERS = {"browser", "fox", "firefox"}
EXECUTIONS = {"executed"}
ROOMS_OF_LESSONS = {"published", "jupyterlab"}
#: One worker at a time has these: a second Firefox or JupyterLab would take a core and half a gigabyte.
SHARED = {"lab": "jupyterlab", "fox": "firefox", "firefox": "firefox"}
LESSON = re.compile(r"(?:solutions/)?((?:\d\d|appendix|cheat|what)_\w+?)(?:\.ipynb)?")


def sweep(cases: Iterable[str], daily: Iterable[str]) -> list:
    """All cases for ``parametrize``; those that are not among the daily ones are marked ``gate``."""
    daily = set(daily)
    return [pytest.param(case, marks=() if case in daily else pytest.mark.gate) for case in cases]


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker() -> int:
    """The number of this worker, 0 where there is one process alone."""
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


def workers() -> int:
    """How many workers share the tests."""
    return int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def marks(item) -> list:
    """The marks of a test that follow from the fixtures that it needs, its room, and whether it is a property."""
    fixtures = set(item.fixturenames)
    derived = []
    if fixtures & BROWSERS:
        derived.append(pytest.mark.browser)
    if fixtures & EXECUTIONS or item.path.parent.name in ROOMS_OF_LESSONS:
        derived.append(pytest.mark.lesson)
    if getattr(item.obj, "is_hypothesis_test", False):
        derived.append(pytest.mark.property)
    if group := _group(item, fixtures):
        derived.append(pytest.mark.xdist_group(group))
    return derived


def _group(item, fixtures: set[str]) -> str | None:
    """The name of the tests that one worker runs one after the other, or None for a test that any may run."""
    for name in SHARED:  # in this order, for every worker must say the same
        if name in fixtures:
            return SHARED[name]
    if "executed" in fixtures and hasattr(item, "callspec"):
        for value in item.callspec.params.values():
            if isinstance(value, str) and (lesson := LESSON.fullmatch(value)):
                return lesson[1]
    return None
