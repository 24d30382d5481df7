"""Extraction: the netlist that a layout has, found by KLayout from its shapes and labels alone.

A device is a via square that lies on one word line and under one bit line. Lines get the names of the labels on them.
"""

from klayout import db

from harness.errors import NetlistError
from harness.exchange.layout.technology import Layer, Technology

DEVICE = "RES"
"""The class of the devices: KLayout's name of a resistor in a netlist."""


class Read:
    """A GDS file as KLayout reads it, and its layers as the technology names them.

    Raises:
        NetlistError: it is no GDS file, its units are others, or it has not exactly one top cell.
    """

    def __init__(self, gds: bytes, technology: Technology) -> None:
        self.technology = technology
        self.layout = db.Layout()
        try:
            self.layout.read_bytes(gds, db.LoadLayoutOptions())
        except RuntimeError as error:
            raise NetlistError(f"the layout cannot be read: {str(error).splitlines()[0]}") from error
        if abs(self.layout.dbu - 1e-3) > 1e-9:
            raise NetlistError(
                f"the layout counts in {self.layout.dbu:g} µm; write it with a database unit of 0.001 µm"
            )
        tops = self.layout.top_cells()
        if len(tops) != 1:
            raise NetlistError(f"the layout has {len(tops)} top cells; it must have one")
        self.top: db.Cell = tops[0]

    def shapes(self, layer: Layer, cell: db.Cell | None = None) -> db.Region:
        """Return all polygons of a layer in a cell (the top one) and in what it is made of."""
        return db.Region(db.RecursiveShapeIterator(self.layout, cell or self.top, [self.layout.layer(*layer)]))

    def labels(self, layer: Layer, cell: db.Cell) -> list[db.Text]:
        """Return the texts of a layer that stand in a cell itself."""
        return [shape.text for shape in cell.shapes(self.layout.layer(*layer)).each(db.Shapes.STexts)]


class _Vias(db.GenericDeviceExtractor):
    """Makes a device of every via square; squares that lie on no word line, or under no bit line, are errors."""

    def __init__(self) -> None:
        super().__init__()
        self.name = DEVICE

    def setup(self) -> None:
        """Declare layers and device; KLayout calls it."""
        for name, told in (("V", "via"), ("W", "via on word line"), ("B", "via under bit line")):
            self.define_layer(name, told)
        kind = db.DeviceClassResistor()
        kind.name = DEVICE
        self.register_device_class(kind)

    def get_connectivity(self, layout: db.Layout, layers: list[int]) -> db.Connectivity:  # noqa: ARG002
        """Return what belongs to one device; KLayout calls it."""
        found = db.Connectivity()
        found.connect(layers[0], layers[1])
        found.connect(layers[0], layers[2])
        return found

    def extract_devices(self, geometry: list[db.Region]) -> None:
        """Make the devices of shapes that touch; KLayout calls it."""
        vias, on_words, under_bits = geometry
        for via in vias.merged().each():
            around = db.Region(via)
            word, bit = (list((metal & around).each()) for metal in (on_words, under_bits))
            if len(word) != 1 or len(bit) != 1:
                lines = f"{len(word)} word lines and {len(bit)} bit lines"
                self.error(f"a via touches {lines}; it must touch one of each", via)
                continue
            device = self.create_device()
            self.define_terminal(device, 0, 1, word[0])
            self.define_terminal(device, 1, 2, bit[0])


def extracted(read: Read) -> tuple[db.LayoutToNetlist, list[str]]:
    """Return KLayout's extraction of a layout, which holds its hierarchical netlist, and what it made no device of."""
    technology, top = read.technology, read.top
    found = db.LayoutToNetlist(db.RecursiveShapeIterator(read.layout, top, []))
    word, bit, via = (
        found.make_polygon_layer(read.layout.layer(*layer), name)
        for layer, name in (
            (technology.word.layer, "word"),
            (technology.bit.layer, "bit"),
            (technology.via.layer, "via"),
        )
    )
    labels = [
        found.make_text_layer(read.layout.layer(*metal.label), f"{name} label")
        for name, metal in (("word", technology.word), ("bit", technology.bit))
    ]
    if technology.marker is not None:  # without it, a via is metal that joins both lines
        marker = found.make_polygon_layer(read.layout.layer(*technology.marker.layer), "marker")
        plain, via = via - marker, via & marker
        found.register(plain, "plain via")
        found.register(via, "marked via")
        found.connect(plain)
        found.connect(plain, word)
        found.connect(plain, bit)
    below, above = via & word, via & bit
    found.register(below, "below")
    found.register(above, "above")
    found.extract_devices(_Vias(), {"V": via, "W": below, "B": above})
    for metal, contact, label in ((word, below, labels[0]), (bit, above, labels[1])):
        found.connect(metal)
        found.connect(metal, contact)
        found.connect(metal, label)
    found.extract_netlist()
    return found, [_message(entry) for entry in found.each_log_entry()]


def _message(entry: db.LogEntryData) -> str:
    where = entry.geometry.bbox().center()
    cell = f" of cell {entry.cell_name}" if entry.cell_name else ""
    return f"{entry.message}, at ({where.x:.3f}, {where.y:.3f}) µm{cell}"
