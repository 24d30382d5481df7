"""Commands about runs: predictions for new rows, and lists that compare runs."""
