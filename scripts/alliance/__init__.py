"""Alliance and outcome: from session-level psychotherapy data to estimates.

Rooms, in the order of the flow; a lower room never imports an upper one:

study, readers, validation, deidentification, cleaning, instruments, scoring, reliability,
timing, within_between, ruptures, likelihood, estimation, estimates, simulation,
figures, tables, report.
"""
