"""Published controllers, reimplemented from their documented constants, for comparison.

None of them was made for this task. Each keeps its own signals and constants, adapted where its actuator or its signal
differs; `ControllerSpec.source` says from where and how. The operator's bounds apply to all. Controllers that count
whole permits still do so here: none of them knows a limit below one, except through the bounds.
"""
