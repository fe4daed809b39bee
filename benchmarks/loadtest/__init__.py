"""The load-test harness: what is offered, who drains it, who watches, who judges.

`benchmarks/loadtest/__main__.py` is its door. A scenario passes, top to bottom:

    scenarios.py    what is offered to the line, and what question it answers
    backlogs.py     messages made as they are asked for, and the table they must end in; chapters.py: the mixed ones
    conduct.py      a scenario from its first part to its last          grown.py     ten million rows before that
    contest.py      the daemon and its peers, one after the other       contenders.py   who they are
    drain.py        the watch over one drain
    samples.py      who used what, every 250 ms
    oracle.py       the table against the truth, row by row
    result.py       the figures that follow, and their file             machine.py   where they come from
    targets.py      the figures against what they shall be
    printed.py      what the terminal shows                             page.py, chart.py   what a browser shows

targets.py says what we want, and no figure changes the exit code: README.md says what counts as a regression.
"""
