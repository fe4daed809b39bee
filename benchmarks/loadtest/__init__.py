"""The load-test harness: what is offered, who drains it, who watches, who judges.

`benchmarks/loadtest/__main__.py` is its door. A scenario passes, top to bottom:

    scenarios.py    what is offered to the line, and what question it answers
    backlogs.py     messages made as they are asked for, and the table they end in; mixed_backlog.py: mixed ones
    runner.py      a scenario from its first part to its last          prefill.py     ten million rows before that
    compare.py      the daemon and its peers, one after the other       competitors.py   who they are
    drain.py        the watch over one drain
    samples.py      who used what, every 250 ms
    row_checker.py       the table against the truth, row by row
    result.py       the figures that follow, and their file             host_info.py   where they come from
    targets.py      the figures against what they shall be
    console.py      what the terminal shows                             html_report.py, charts.py   what a browser shows

targets.py says what we want, and no figure changes the exit code: README.md says what counts as a regression.
"""
