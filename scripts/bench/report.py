"""The tables: a line for each thing measured, with its target and whether it was met."""

import dataclasses
from collections.abc import Callable

from measure import Series, shown


@dataclasses.dataclass(frozen=True)
class Target:
    """What the issue asks for: in words, and as a test of the median and of that of what it stands against."""

    text: str
    met: Callable[[float, float], bool]
    difference: bool = False  # shown as what is more, not as a ratio


def at_most(limit, unit="seconds"):
    number, name = shown([limit], unit)
    return Target(f"≤ {number[0]}{name}", lambda value, _: value <= limit)


def times(limit):
    """At most so many times what it stands against."""
    return Target(f"≤ {limit:g} ×", lambda value, against: value <= limit * against)


def above(limit):
    """At most so many seconds more than what it stands against."""
    return Target(f"≤ {limit * 1000:g} ms more", lambda value, against: value - against <= limit, difference=True)


class Table:
    """One case: its lines as they are measured, and what went wrong."""

    head = "| what | took (least–most) | against | ratio or difference | target | met | rivals |\n|---|--:|--:|--:|--:|:-:|---|\n"

    def __init__(self, title, scaled):
        self.title = title
        self.scaled = scaled
        self.notes = []
        self.lines = []
        self.failure = None

    def note(self, text):
        self.notes.append(text)

    def row(self, what, series, against=None, target=None, rivals=None):
        """A line. `against`: name and series of the floor or rival; `rivals`: series by name, shown only.

        The target is judged at the issue's sizes only.
        """
        name, other = against or ("", None)
        ratio = f"{series.median / other.median:.2f}" if other and other.median else ""
        if target and target.difference and other:
            ratio = f"{(series.median - other.median) * 1000:+.0f} ms"
        met = ""
        if target and not self.scaled:
            met = "yes" if target.met(series.median, other.median if other else 0) else "**no**"
        cells = [
            what,
            str(series),
            f"{name} {other}" if other else "",
            ratio,
            target.text if target else "",
            met,
            " · ".join(f"{rival} {figures}" for rival, figures in (rivals or {}).items() if figures.values),
        ]
        self.lines.append("| " + " | ".join(cells) + " |\n")

    def value(self, what, number, unit, **options):
        """A line of one number that does not vary between runs."""
        self.row(what, Series(unit, [number]), **options)

    def markdown(self):
        parts = [f"## {self.title}\n"]
        if self.notes:
            parts.append("\n" + " ".join(self.notes) + "\n")
        if self.lines:
            parts.append("\n" + self.head + "".join(self.lines))
        if self.failure:
            parts.append(f"\n**Failed:** {self.failure}\n")
        return "".join(parts)
