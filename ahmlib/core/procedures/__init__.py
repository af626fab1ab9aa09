"""Procedures: straight-line plans that yield effects and receive their outcomes.

Each is a generator run by `plan.Plan`, one at a time.  Every wait has a limit, and every failure
leads to a state that the status shows, with its reason.
"""
