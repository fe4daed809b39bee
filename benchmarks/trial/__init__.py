"""The load-test harness: scenarios, what they run on, the oracle that judges them, and what is written about them.

scenarios.py     what is offered to the line, and what question it answers
backlogs.py      messages that are made as they are asked for, and the table they must end in
conduct.py       a scenario from its first part to its last      drain.py    the watch over one drain
grown.py         ten million rows before the first message
contest.py       the daemon and its peers, one after the other
oracle.py        the table against the truth, row by row
samples.py       who used what: every 250 ms                     result.py   the figures that follow
machine.py       the facts without which no figure means anything
page.py          the page with one time axis                     chart.py    its lines and bars
"""
