# SPDX-License-Identifier: Apache-2.0
"""Random models under random plans: the generated C computes the reference in the claimed bytes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from support.planned import MODES
from support.random_graphs import GraphSpec, graph_specs
from support.random_plans import PlanSpec, plan_specs
from support.schedule_cases import ScheduleCase, check_on_host, planned

from edgekit.program import InputMode

WINDOWS_ABOVE_THE_MAP = GraphSpec(
    shape=(5, 3, 2),
    layers=(("expansion", 0, (4, ((2, 1, 1, 3, 3), (1, 1, 1, 0, 0)))),),
    head="map",
    also_returned=(),
    seed=0,
)
"""More padding than the kernel is high: the first windows of the pair see no row at all."""
NO_INPUT_IS_NEEDED = GraphSpec(
    shape=(2, 3, 1),
    layers=(
        ("point", 0, (2,)),
        ("conv", 0, (1, ((1, 1, 1, 1, 0), (1, 1, 1, 0, 0)))),
        ("crop", 0, (0, 1)),
    ),
    head="map",
    also_returned=(),
    seed=0,
)
"""The only row of the output is computed from padding: the layers in front never fire."""

NO_ROW_BETWEEN_IS_NEEDED = GraphSpec(
    shape=(1, 1, 1),
    layers=(
        ("conv", 0, (1, ((3, 1, 1, 1, 1), (3, 1, 1, 1, 1)))),
        ("expansion", 0, (1, ((1, 2, 1, 1, 0), (3, 1, 1, 1, 1)))),
    ),
    head="map",
    also_returned=(),
    seed=0,
)
"""The only window of a pair sees nothing but padding."""


@pytest.mark.parametrize("target", ["host", "cortex-m4"])
@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(model=graph_specs(), schedule=plan_specs())
@example(model=WINDOWS_ABOVE_THE_MAP, schedule=PlanSpec((), (("F", 1),), (), ()))
@example(model=NO_INPUT_IS_NEEDED, schedule=PlanSpec((), (), (), ()))
@example(model=NO_ROW_BETWEEN_IS_NEEDED, schedule=PlanSpec((), (("F", 1),), (), ()))
@example(model=NO_ROW_BETWEEN_IS_NEEDED, schedule=PlanSpec((), (("-", 1), ("D", 1)), (), ()))
def test_random_model_under_a_random_plan(
    mode: InputMode, target: str, tmp_path: Path, model: GraphSpec, schedule: PlanSpec
) -> None:
    check_on_host(planned(ScheduleCase(model, schedule, mode, target)), tmp_path)
