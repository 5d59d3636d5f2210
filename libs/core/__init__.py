"""What everything stands on: time, errors, ids, crash points. Imports nothing of ours."""
