"""Scripted faults: what may go wrong, and the plan that says when."""
