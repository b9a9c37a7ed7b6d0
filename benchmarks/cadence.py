"""Draw the pauses between looks: ``.venvs/bench/bin/python -m benchmarks.cadence`` writes docs/cadence.svg."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from airflow_provider_fivetran.core.cadence import Usual, pause_between_looks

WHERE = Path(__file__).parent.parent / "docs" / "cadence.svg"
UNTIL = 75 * 60
SCENES = {
    "usual duration unknown": None,
    "usually 10 minutes": (600.0, 600.0),
    "usually 32 to 48 minutes": (1920.0, 2880.0),
}


def looks(usual: Usual | None) -> tuple[list[float], list[float]]:
    """Minutes at which a lone wait looks, and the seconds until it looks again."""
    age, at, pauses = 0.0, [], []
    while age < UNTIL:
        pause = pause_between_looks(timedelta(seconds=age), None, usual=usual).total_seconds()
        at.append(age / 60)
        pauses.append(pause)
        age += pause
    return at, pauses


def main() -> None:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "cadence"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4))
    for title, ends in SCENES.items():
        usual = None if ends is None else Usual(timedelta(seconds=ends[0]), timedelta(seconds=ends[1]))
        at, pauses = looks(usual)
        axes.step(at, pauses, where="post", label=f"{title}: {len(at)} looks in {UNTIL // 60} minutes")
    axes.set(xlabel="age of the sync in minutes", ylabel="seconds to the next look", ylim=(0, 16))
    axes.legend(loc="lower right")
    figure.savefig(WHERE, metadata={"Date": None}, bbox_inches="tight")


if __name__ == "__main__":
    main()
