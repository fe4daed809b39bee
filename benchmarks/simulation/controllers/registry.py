"""All published laws, in the order of the tables."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import Law
from benchmarks.simulation.controllers import elasticgraph, fixed, gitlab, netflix, scaling, sui, vector

PUBLISHED: Final[tuple[Law, ...]] = (
    fixed.LOW,
    fixed.HIGH,
    scaling.LAW,
    vector.LAW,
    netflix.GRADIENT2,
    netflix.AIMD,
    elasticgraph.LAW,
    gitlab.LAW,
    sui.LAW,
)
