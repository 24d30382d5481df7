"""`harness age`: what a trained network still does after hours and years, with refresh and compensation."""
