"""A data set without a model of its options, which it looks at itself: two rings around each other."""

from typing import Any

import numpy as np

from harness.datasets import Table


class Rings:
    """What the entry point names."""

    def build(self, options: dict[str, Any]) -> Table:
        """``rows`` points, half of them on each ring."""
        rows = options.get("rows", 60)
        if unknown := options.keys() - {"rows"}:
            raise ValueError(f"there is no option {min(unknown)!r}; there is 'rows'")
        rng = np.random.default_rng(0)
        ring = np.arange(rows) % 2
        angle, radius = rng.uniform(0, 2 * np.pi, rows), 0.5 + ring + rng.normal(0, 0.05, rows)
        points = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        return Table(points, ring, ("inner", "outer"), stratify=True)


rings = Rings()
