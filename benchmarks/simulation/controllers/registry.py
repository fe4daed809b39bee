"""All published controllers, in the order of the tables."""

from __future__ import annotations

from typing import Final

from benchmarks.simulation.controller import ControllerSpec
from benchmarks.simulation.controllers import elasticgraph, fixed, gitlab, netflix, scaling, sui, vector

PUBLISHED: Final[tuple[ControllerSpec, ...]] = (
    fixed.LOW,
    fixed.HIGH,
    scaling.SPEC,
    vector.SPEC,
    netflix.GRADIENT2,
    netflix.AIMD,
    elasticgraph.SPEC,
    gitlab.SPEC,
    sui.SPEC,
)
