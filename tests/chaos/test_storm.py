"""A short storm of each kind; ``make chaos`` runs long ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from airflow_provider_fivetran.core import starting, triggering
from storm import storm

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(autouse=True)
def short_doubts(monkeypatch):
    """Look less long for the sign of a trigger whose answer was lost."""
    monkeypatch.setattr(triggering, "LOOKS_AFTER_LOST_ANSWER", (0.5, 1, 2, 4, 4))
    monkeypatch.setattr(triggering, "LOOKS_AFTER_SERVER_ERROR", (0.5, 1, 2))
    for module in (starting, triggering):
        monkeypatch.setattr(module, "PATIENCE", timedelta(seconds=60))


@pytest.mark.parametrize(("seed", "disturbed"), [(1, 0.0), (3, 0.3)])
def test_every_verdict_is_right_and_nothing_is_triggered_twice(seed, disturbed):
    report = storm(seed, tasks=30, disturbed=disturbed)
    assert not report.wrong, str(report)
    assert report.verdicts["succeeded"] > 5
