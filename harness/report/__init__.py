"""The design report: a network's measured figures, its pictures, and one HTML page that needs no network."""
