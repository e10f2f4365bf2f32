"""One stream's windows: what counts (`order`), where it goes (`panes`, `sessions`), what is due."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from consumers.features import Features
from consumers.windowing.emitted import Emitted
from consumers.windowing.frozen import FrozenCells
from consumers.windowing.order import TIME_MAX_NS, Admitted, Left, Order, Stepped
from consumers.windowing.panes import Panes
from consumers.windowing.sessions import Sessions
from consumers.windowing.shapes import EPOCH_REVISIONS, Patience, Shape
from telemetry.window import Floats, Ints


class Stream:
    """A sensor's windows within one session of a device; at most one shape is a session window."""

    def __init__(self, features: Features, shapes: Sequence[Shape], patience: Patience) -> None:
        self._features = features
        self._shapes = tuple(shapes)
        self._order = Order(patience, len(features.fields))
        self._parts = self._begun()
        self.size_bytes = 0  # what the rows hold in memory, about

    @property
    def left(self) -> Mapping[Left, int]:
        """What was left out so far, by reason."""
        return self._order.left

    @property
    def newest_ns(self) -> int | None:
        """The newest time that counted in this epoch."""
        return self._order.newest_ns

    @property
    def is_open(self) -> bool:
        """Whether a window with rows in it waits for the watermark."""
        return any((part.end_ns or -TIME_MAX_NS) > self._order.watermark_ns for part in self._parts)

    def add(self, t_ns: Ints, values: Floats, *, in_turn: bool, unusable: int = 0) -> list[Emitted]:
        """Take rows, int64[n] and float64[n, fields], and write what is due; `in_turn`: they come by seq."""
        self._order.count(Left.VALUE, unusable)
        out = list(self._taken(self._order.admit(t_ns, values, in_turn=in_turn)))
        return out + list(self._due())

    def flush(self) -> list[Emitted]:
        """Nothing may come for long: write what waits.  What comes all the same makes a revision."""
        ends = [part.end_ns for part in self._parts if part.end_ns is not None]
        self._order.forced_ns = max([self._order.forced_ns, *ends])
        return list(self._due())

    def end(self) -> list[Emitted]:
        """Nothing comes any more: write all there is."""
        return [*self._taken(self._order.end()), *self._closed()]

    def freeze(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The state, as JSON and arrays."""
        parts = [part.freeze() for part in self._parts]
        odd_t, odd_x = self._order.odd()
        arrays = {f"{i}.{name}": array for i, part in enumerate(parts) for name, array in part.arrays.items()}
        return (
            {"order": self._order.freeze(), "parts": [part.head for part in parts]},
            arrays | {"odd.t": odd_t, "odd.x": odd_x},
        )

    def thaw(self, head: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """As it was; raises `KeyError`, `IndexError`, `TypeError` or `ValueError` for damage."""
        self._order.thaw(head["order"], (arrays["odd.t"], arrays["odd.x"]))
        self._parts = self._begun()
        for i, (part, frozen) in enumerate(zip(self._parts, head["parts"], strict=True)):
            part.thaw(FrozenCells(frozen, {name: arrays[f"{i}.{name}"] for name in ("t", "x", "base")}))
        self.size_bytes = sum(part.size_bytes for part in self._parts)

    def _begun(self) -> list[Panes | Sessions]:
        """Nothing yet of the epoch that begins."""
        revision = self._order.epoch * EPOCH_REVISIONS
        aligned = [shape for shape in self._shapes if shape.kind != "session"]
        parts: list[Panes | Sessions] = [Panes(self._features, aligned, revision)] if aligned else []
        parts += [Sessions(self._features, shape, revision) for shape in self._shapes if shape.kind == "session"]
        return parts

    def _taken(self, admitted: Iterator[Admitted | Stepped]) -> Iterator[Emitted]:
        for some in admitted:
            if isinstance(some, Stepped):
                yield from self._closed()
                self._parts = self._begun()
            else:
                for part in self._parts:
                    part.add(some.t_ns, some.values, some.passed_ns)

    def _due(self) -> Iterator[Emitted]:
        for part in self._parts:
            yield from part.due(self._order.watermark_ns)
            part.forget(self._order.limit_ns)
        self.size_bytes = sum(part.size_bytes for part in self._parts)

    def _closed(self) -> Iterator[Emitted]:
        for part in self._parts:
            yield from part.due(TIME_MAX_NS * 2 - 1)
