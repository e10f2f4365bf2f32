"""An event's id says where to go on, and nothing that a stranger writes is taken for one by mistake."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.live.marks import Mark

OFFSETS = st.dictionaries(st.integers(0, 300), st.integers(0, 2**63 - 1), max_size=8)


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    batches = draw(OFFSETS)
    window = {
        p: draw(st.integers(0, offset - 1)) for p, offset in batches.items() if offset > 0 and draw(st.booleans())
    }
    within = (draw(st.sampled_from(sorted(batches))), draw(st.integers(0, 1000))) if batches else None
    told = draw(st.none() | st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True))
    return Mark(batches, draw(OFFSETS), window, within if draw(st.booleans()) else None, told)


@given(marks())
def test_a_mark_comes_back_from_its_text(mark: Mark) -> None:
    assert Mark.parse(str(mark)) == mark


@given(marks())
def test_its_text_fits_a_header_and_a_line(mark: Mark) -> None:
    assert all(32 < ord(c) < 127 for c in str(mark))


@given(st.text(max_size=200) | st.from_regex(r"b[\d.!-]{0,30}_a[\d.-]{0,30}(~.{0,9})?", fullmatch=True))
def test_what_is_no_mark_is_none_or_a_mark(text: str) -> None:
    mark = Mark.parse(text)
    assert mark is None or Mark.parse(str(mark)) == mark


@pytest.mark.parametrize(
    "text",
    ["", "17", "b_a_", "b0.1", "b0.-1_a", "b0.1.2_a", "b0.1-0.2_a", "b0.9223372036854775808_a", "b0.1!1.1_a", "b_a~..",
     "b_a0.2.1", "b0.1_a~" + "x" * 65, "b" + "-".join(f"{p}.1" for p in range(9000)) + "_a", "b0.1\n_a", "b٣.1_a"],
)  # fmt: skip
def test_nonsense_is_refused(text: str) -> None:
    assert Mark.parse(text) is None


def test_it_reads_as_it_is_described() -> None:
    mark = Mark({0: 123, 1: 456}, {0: 12}, {0: 121}, (1, 3), "pi")
    assert str(mark) == "b0.123.2-1.456!1.3_a0.12~pi"
    assert mark.begin == {0: 121, 1: 456}
