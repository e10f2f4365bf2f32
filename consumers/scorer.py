"""A stream's scorer: its profile's detectors over the same rows, joined.  The consumer's and `sensorline score`'s."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from consumers import detectors
from consumers.detectors import Detector, Floats, Hits, State, Times, Verdict
from consumers.profiles import Profile


@dataclass(frozen=True, slots=True)
class Judged:
    """What all of a profile's detectors say of n rows: `score` is the highest at each row; hits by detector."""

    score: Floats
    hits: tuple[tuple[Detector, Hits], ...]

    def alarm(self) -> npt.NDArray[np.bool_]:
        """Which rows are in alarm."""
        rows = np.zeros(len(self.score), bool)
        for _, hits in self.hits:
            rows[hits["row"]] = True
        return rows


class Scorer:
    """Made for one stream.  `profile.fields` are the columns of `update`'s values."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.detectors: Mapping[str, Detector] = {
            name: detectors.make(name, profile.fields) for name in profile.detectors
        }

    def update(self, t_ns: Times, values: Floats) -> Judged:
        """Score and then learn rows, in order."""
        verdicts: dict[str, Verdict] = {name: d.update(t_ns, values) for name, d in self.detectors.items()}
        score = np.zeros(len(t_ns))
        for verdict in verdicts.values():
            np.maximum(score, verdict.score, out=score)
        return Judged(score, tuple((self.detectors[name], verdict.hits) for name, verdict in verdicts.items()))

    def state(self) -> dict[str, State]:
        """Each detector's arrays, not copied."""
        return {name: detector.state() for name, detector in self.detectors.items()}

    def restore(self, state: Mapping[str, State]) -> None:
        """Go on from copies of these; a detector that is not among them starts afresh."""
        for name, detector in self.detectors.items():
            if name in state:
                detector.restore(state[name])
