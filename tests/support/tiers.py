"""Which cases of a sweep run every day, and which in the gate only."""

from collections.abc import Iterable

import pytest


def sweep(cases: Iterable[str], daily: Iterable[str]) -> list:
    """All cases for ``parametrize``; those that are not among the daily ones are marked ``gate``."""
    daily = set(daily)
    return [pytest.param(case, marks=() if case in daily else pytest.mark.gate) for case in cases]
