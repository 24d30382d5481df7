"""Networks that begin with kernels at all positions of an image."""

from itertools import pairwise
from math import prod
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from harness.circuit import Circuit, Kernels, convolutional_network
from harness.datasets import Split
from harness.errors import CircuitError, ExperimentError
from harness.experiment.network.base import CELL, Size
from harness.experiment.network.crossbars import Antiparallel
from harness.processes.memory import Part
from harness.validation import Flag, MismatchError, Siemens, Whole
from harness.wording import counted

_EDGE_CELL = 160
"""B of a cell of a convolution: besides what a cell takes, the names of both its ends."""
_Side = Annotated[Whole, Field(ge=1, le=10_000)]


class ConvolutionalSettings(Antiparallel):
    """A layered network whose first layers are kernels that cover windows of an image, at many positions."""

    kind: Literal["convolutional"]
    image: tuple[_Side, _Side]
    """Rows and columns of the image that each row of data is, pixel by pixel along its rows."""
    kernels: Annotated[tuple[_Side, ...], Field(min_length=1)]
    """Number of kernels in each convolutional layer, such as ``[8]``."""
    window: tuple[_Side, ...]
    """Rows and columns that a kernel covers, one number for each convolutional layer."""
    stride: tuple[_Side, ...] = ()
    """Rows and columns from one position of a kernel to the next, for each convolutional layer; without it, 1."""
    pool: tuple[_Side, ...] = ()
    """Rows and columns of nodes that resistors average to one, for each convolutional layer; 1, as without it, averages
    nothing."""
    pool_conductance: Annotated[Siemens, Field(gt=0, le=1e6)] | None = None
    """Conductance of each averaging resistor, which a pool above 1 needs."""
    tied: Flag = True
    """True lets a kernel's copies at all positions learn together; with false, the layer is locally connected."""
    hidden: tuple[Annotated[Whole, Field(ge=1, le=100_000)], ...] = ()
    """Number of nodes in each hidden layer between the convolutions and the outputs; may be empty."""

    @model_validator(mode="after")
    def _one_each(self) -> Self:
        for key in ("window", "stride", "pool"):
            values = getattr(self, key)
            if len(values) != len(self.kernels) and (values or key == "window"):
                layers = counted(len(self.kernels), "convolutional layer")
                raise MismatchError(key, f"{counted(len(values), 'value')} for {layers}; give one for each")
        if max(self.pool, default=1) > 1 and self.pool_conductance is None:
            raise MismatchError("pool_conductance", "a pool needs the conductance of its resistors")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        try:
            self._images(1)
        except CircuitError as error:
            raise MismatchError("window", str(error)) from error
        return self

    @property
    def _all_crossed(self) -> bool:
        return False

    @property
    def _layers(self) -> int:
        return len(self.kernels) + len(self.hidden)

    def _convolutions(self) -> list[Kernels]:
        """Kernels of each convolutional layer."""
        ones = (1,) * len(self.kernels)
        sizes = zip(self.kernels, self.window, self.stride or ones, self.pool or ones, strict=True)
        siemens = self.pool_conductance or 0.0
        return [Kernels((w, w), count, s, p, siemens, tied=self.tied) for count, w, s, p in sizes]

    def _images(self, planes: int) -> list[tuple[int, int, int]]:
        """Planes, rows and columns of the inputs, and behind each convolutional layer.

        Raises:
            CircuitError: a layer does not fit the one before.
        """
        images = [(planes, *self.image)]
        for layer in self._convolutions():
            images.append(layer.after(images[-1]))
        return images

    def _planes(self, channels: int) -> int:
        """Planes of the image.

        Raises:
            ExperimentError: the data have another number of inputs.
        """
        rows, columns = self.image
        if channels % (rows * columns):
            raise ExperimentError(
                f"network.image: {rows} × {columns} pixels for data with {counted(channels, 'input')}; "
                "give rows and columns of an image, or of each of its planes"
            )
        return channels // (rows * columns)

    def size(self, channels: int, outputs: int, *, lines: bool) -> Size:  # noqa: ARG002
        """Return the memory that the network takes; the lines of convolutions are drawn without resistance."""
        images, cure = self._images(2 * self._planes(channels)), "take fewer kernels (network.kernels)"
        cells, nodes = 0, 2 * channels
        for layer, before in zip(self._convolutions(), images, strict=False):
            placed = prod(layer.planned(before))
            cells += placed * (before[0] * prod(layer.window) + 2)
            nodes += placed
        sizes = [prod(images[-1]), *self.hidden, 2 * outputs]
        dense = sum(map(prod, pairwise(sizes)))
        parts = (
            Part(f"{cells:,} cells of kernels", _EDGE_CELL * cells, cure),
            Part(f"{dense:,} cells", CELL * dense, cure),
        )
        return Size(parts, nodes + sum(sizes), nodes - 2 * channels + sum(sizes), cure)

    def build(self, data: Split, seed: int) -> Circuit:
        """See `LayeredSettings.build`.

        Raises:
            ExperimentError: the data are no such images.
        """
        (channels, hidden, outputs), parts = self._parts(data, seed)
        image = self._images(self._planes(channels))[0]
        parts |= {"shift": self.shift, "amplifier_gain": self.amplifier_gain}
        return convolutional_network(image, self._convolutions(), hidden, outputs, **parts)
