"""Lists as sentences hold them: short."""

from collections.abc import Sequence


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names with commas between them; of more than `most`, the first ones and the last one."""
    return ", ".join(names if len(names) <= most else (*names[: most - 2], f"… {names[-1]}"))


def ranges(found: Sequence[int], most: int = 100) -> str:
    """Return ascending whole numbers, neighbours as a range, of more than `most` ranges the first ones."""
    parts: list[list[int]] = []
    for number in found:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    told = ", ".join(f"{low}" if low == high else f"{low}–{high}" for low, high in parts[:most])
    return told if len(parts) <= most else f"{told} and {sum(b - a + 1 for a, b in parts[most:]):,} more"
