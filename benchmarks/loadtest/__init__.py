"""The load test: what is offered, what drains it, what is measured, and how the rows are checked.

`__main__.py` is the entry point. A scenario passes, top to bottom:

    scenarios.py      the load, and the question it answers
    runner.py         one scenario from start to end            prefill.py       ten million rows before it
    compare.py        the daemon and its competitors in turn    competitors.py   their settings
    drain.py          one drain, watched until the queue is empty
    samples.py        progress and CPU time of each part, every 250 ms
    row_checker.py    the table against the expected rows
    result.py         figures, summary and samples              host_info.py     the machine
    plots.py          the picture of a scenario
    targets.py        the figures against their targets
    console.py        output for the terminal                   html_report.py   the page

The loads come from testkit/workload/. No figure changes the exit code; benchmarks/README.md says what counts as a
regression.
"""
