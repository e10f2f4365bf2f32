"""Windows of a stream: what a span of readings amounts to, in columns; what the store's `windows` detail holds.

A window is (device, sensor, session, width, start); `revision` rises when late readings change one that was written,
and the store keeps the highest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Windows:
    """n windows of one stream: `start_ns`, `end_ns` (excluded), `count` and `revision` int64[n]; `features` by name
    ("x_rms"), float64[n] with NaN for absent.

    `kind` is "tumbling", "sliding" or "session"; `width_ns` is 0 for session windows, whose gap says how long they are.
    """

    device: str
    sensor: str
    session: str
    kind: str
    width_ns: int
    start_ns: Ints
    end_ns: Ints
    count: Ints
    revision: Ints
    features: Mapping[str, Floats]
