"""Campaigns: what a hostile or unlucky user would do, many thousands of times, against the real command line.

``make campaigns`` runs all of them; ``python -m tests.campaigns --help`` says what there is. `tests/test_campaigns.py`
runs a short form of each.

========== =====================================================================================================
kills      a command is killed at each of its file operations, then given again or gone on with
randomly   trainings and sweeps are killed at random moments, again and again, until they end
mutated    a file that a command reads is damaged, in the ways of its format and byte by byte
startup    start-up files of Python, ngspice and others lie in wait in every place
========== =====================================================================================================

Commands run in children that are forked from one process with everything imported (`tests.campaigns.children`), since
a case then takes milliseconds and not seconds.
"""
