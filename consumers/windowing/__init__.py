"""Windows in event time over one stream: tumbling, sliding and session windows, watermarks, allowed lateness.  Pure.

Rules, which hold row by row, so that it does not matter how batches were cut:

- The watermark is the newest time seen, less `delay_ns`.  A window is written once the watermark has come to its end.
- A row up to `lateness_ns` behind the watermark still counts, and windows that were written are written again: their
  `revision` is the number of rows that came after the watermark had passed their end.  A row behind that is too late.
- In the order of seq, `STEP_ROWS` rows in a row that are all too late are no late rows: the clock stepped back.  They
  begin a new epoch: what was open is written, and revisions go on from `epoch * EPOCH_REVISIONS`, so that a window of
  the same time replaces that of the epoch before.  A stray row is too late and no more.
- A clock that steps forward passes everything that was open; when it steps back again, see above.
- Tumbling and sliding windows start at whole multiples of their step since 1970 and are made of panes (the greatest
  common divisor of all widths and steps).  A session window ends `step_ns` after its last row; a late row may bridge
  two, and the absorbed one is written again with a count of 0.
- A pane keeps its rows until they can change no more: within the lateness the order in which they come changes no bit
  of any feature.  Of more than `Features.rows_max` rows in one pane, or in one session window, the earlier ones are
  summarised in the order in which they came; then only count, min and max are free of that order.
"""

from consumers.windowing.emitted import Emitted
from consumers.windowing.order import STEP_ROWS, Left
from consumers.windowing.rows import settle
from consumers.windowing.shapes import EPOCH_REVISIONS, Patience, Shape, checked, session, sliding, tumbling
from consumers.windowing.stream import Stream

__all__ = [
    "EPOCH_REVISIONS",
    "STEP_ROWS",
    "Emitted",
    "Left",
    "Patience",
    "Shape",
    "Stream",
    "checked",
    "session",
    "settle",
    "sliding",
    "tumbling",
]
