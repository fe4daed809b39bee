"""Published laws of control, re-implemented from their documented constants in our own words, for comparison.

None of them was made for this task: each stands here with its own signals and constants, translated where its actuator
or its signal is another one; `Law.source` says from where and how. All are held to the operator's bounds. Where a
law counts whole permits, so does its translation: none of them knows a limit below one, except by the bounds.
"""
