"""How a sensor is mounted: its axes turned to Android's (x right, y up along the screen, z out of it)."""

from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field

AXES = ("x", "y", "z")


def _turn(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is no rotation: a mirrored gyroscope would turn the wrong way round."""
    plain = [name.removeprefix("-") for name in names]
    if sorted(plain) != list(AXES):
        raise ValueError('axes names each of x, y and z once, with or without "-", e.g. ["y", "-x", "z"]')
    if round(float(np.linalg.det(matrix(names)))) != 1:
        raise ValueError("these axes are a mirror image, no rotation: change one sign or swap two of them")
    return names


def matrix(names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    """(3, 3): multiplied with a chip's (x, y, z), it gives the device's."""
    turned = np.zeros((3, 3))
    for row, name in enumerate(names):
        turned[row, AXES.index(name.removeprefix("-"))] = -1 if name.startswith("-") else 1
    return turned


Axes: TypeAlias = Annotated[
    tuple[str, str, str],
    AfterValidator(_turn),
    Field(description="the device's x, y and z as axes of the chip; a rotation"),
]


def columns(rows: npt.NDArray[Any], names: tuple[str, ...], unit: float) -> dict[str, npt.NDArray[np.float32]]:
    """(n, 3) of a chip's counts -> columns x, y, z (n,) in the device's axes; `unit` is one count."""
    turned = (rows @ (matrix(names) * unit).T).astype(np.float32)
    return {axis: np.ascontiguousarray(turned[:, k]) for k, axis in enumerate(AXES)}
