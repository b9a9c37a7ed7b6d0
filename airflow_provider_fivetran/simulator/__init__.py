"""A local Fivetran for laptops, tests and CI. It shares no code with the provider: it is a witness."""

from __future__ import annotations

from .faults import Fault
from .mishaps import Mishap
from .records import Run, SyncPlan
from .simulator import Simulator
from .switches import Switches
from .traffic import Request

__all__ = ["Fault", "Mishap", "Request", "Run", "Simulator", "Switches", "SyncPlan"]
