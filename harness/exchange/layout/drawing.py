"""Drawing: a plan as a GDS file.

Word lines run along x, word line 0 at the top; bit lines run along y, bit line 0 at the left. The crossing of word line
w and bit line b lies at x = (b + ½) pitches and y = −(w + ½) pitches. Tiles abut, so that lines go on from one to the
next. A word line begins one pitch left of its first crossing, and a bit line ends one pitch below its last one: every
segment that a current crosses is one pitch long, as in `harness.circuit.variation.lines`.
"""

from functools import cached_property

from klayout import db

from harness.exchange.layout.plan import ArrayPlan, Plan, TilePlan
from harness.exchange.layout.technology import Layer, Technology

UNIT = 1e-3
"""µm of a unit of the layout's coordinates: 1 nm."""
_APART = 4
"""Pitches between two crossbars."""


def draw(plan: Plan, technology: Technology) -> bytes:
    """Return the GDS file of a plan; equal plans give equal bytes."""
    return _Drawing(plan, technology).file()


class _Drawing:
    """The layout as it grows; lengths are in nm."""

    def __init__(self, plan: Plan, technology: Technology) -> None:
        self.plan, self.technology = plan, technology
        self.layout = db.Layout()
        self.layout.dbu = UNIT
        self.word, self.bit = technology.word, technology.bit
        self.x, self.y = technology.nanometres(self.bit.pitch), technology.nanometres(self.word.pitch)
        self.half_word, self.half_bit = (technology.nanometres(m.width) // 2 for m in (self.word, self.bit))

    def file(self) -> bytes:
        top = self.layout.create_cell(self.plan.top)
        x = 0
        for array in self.plan.arrays:
            top.insert(db.CellInstArray(self.array(array).cell_index(), db.Trans(x, 0)))
            x += (len(array.bits) + _APART) * self.x
        options = db.SaveLayoutOptions()
        options.format = "GDS2"
        options.gds2_write_timestamps = False
        return self.layout.write_bytes(options)

    def layer(self, layer: Layer) -> int:
        return self.layout.layer(*layer)

    @cached_property
    def via(self) -> int:
        """The index of the cell that is one via, which is drawn where the first tile needs it."""
        cell = self.layout.create_cell(self.plan.via)
        for square in self.technology.squares.values():
            half = self.technology.nanometres(square.size) // 2
            cell.shapes(self.layer(square.layer)).insert(db.Box(-half, -half, half, half))
        return int(cell.cell_index())

    def array(self, array: ArrayPlan) -> db.Cell:
        """Draw a crossbar: its tiles, and the ends of its lines with the names of their nets."""
        cell = self.layout.create_cell(array.name)
        for tile in array.tiles:
            cell.insert(db.CellInstArray(self.tile(tile).cell_index(), db.Trans()))
        for k, net in enumerate(array.words):
            y = -self.y * k - self.y // 2
            self.line(cell, (-self.x // 2, 0), y)
            self.name(cell, self.word.label, net, -self.x // 2, y)
        bottom = -self.y * len(array.words)
        for k, net in enumerate(array.bits):
            x = self.x * k + self.x // 2
            self.column(cell, x, (bottom - self.y // 2, bottom))
            self.name(cell, self.bit.label, net, x, bottom - self.y // 2)
        return cell

    def tile(self, tile: TilePlan) -> db.Cell:
        """Draw a tile, with the names of its ports on its lines."""
        cell = self.layout.create_cell(tile.name)
        left, right = self.x * tile.bits.start, self.x * tile.bits.stop
        high, low = -self.y * tile.words.start, -self.y * tile.words.stop
        for word in tile.words:
            y = -self.y * word - self.y // 2
            self.line(cell, (left, right), y)
            self.name(cell, self.word.label, f"w{word}", left, y)
        for bit in tile.bits:
            x = self.x * bit + self.x // 2
            self.column(cell, x, (low, high))
            self.name(cell, self.bit.label, f"b{bit}", x, low)
        if tile.cells:
            self.vias(cell, tile)
        return cell

    def vias(self, cell: db.Cell, tile: TilePlan) -> None:
        """Place the via at every cell that is not open; a tile without open cells is one regular array."""
        index, shape = self.via, (len(tile.words), len(tile.bits))
        if len(tile.cells) == shape[0] * shape[1]:
            first = self.crossing(tile.words.start, tile.bits.start)
            steps = db.Vector(self.x, 0), db.Vector(0, -self.y)
            cell.insert(db.CellInstArray(index, first, *steps, shape[1], shape[0]))
            return
        for word, bit in tile.cells:
            cell.insert(db.CellInstArray(index, self.crossing(word, bit)))

    def crossing(self, word: int, bit: int) -> db.Trans:
        return db.Trans(self.x * bit + self.x // 2, -self.y * word - self.y // 2)

    def line(self, cell: db.Cell, ends: tuple[int, int], y: int) -> None:
        box = db.Box(ends[0], y - self.half_word, ends[1], y + self.half_word)
        cell.shapes(self.layer(self.word.layer)).insert(box)

    def column(self, cell: db.Cell, x: int, ends: tuple[int, int]) -> None:
        box = db.Box(x - self.half_bit, ends[0], x + self.half_bit, ends[1])
        cell.shapes(self.layer(self.bit.layer)).insert(box)

    def name(self, cell: db.Cell, layer: Layer, text: str, x: int, y: int) -> None:
        cell.shapes(self.layer(layer)).insert(db.Text(text, db.Trans(x, y)))
