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
    for looks in ("LOOKS_AFTER_LOST_ANSWER", "LOOKS_AFTER_LOST_RESTART"):
        monkeypatch.setattr(triggering, looks, (0.5, 1, 2, 4, 4))
    monkeypatch.setattr(triggering, "LOOKS_AFTER_SERVER_ERROR", (0.5, 1, 2))
    for module in (starting, triggering):
        monkeypatch.setattr(module, "PATIENCE", timedelta(seconds=60))


@pytest.mark.parametrize(("seed", "disturbed"), [(1, 0.0), (2, 0.3)])
def test_every_verdict_is_right_and_no_task_starts_two_syncs(seed, disturbed):
    report = storm(seed, tasks=24, disturbed=disturbed, start_timeout=15)
    assert not report.faults, str(report)
    assert report.verdicts["succeeded"] > 5
    assert report.figures["worker deaths"] > 0
    assert report.figures["trigger deaths"] > 0
