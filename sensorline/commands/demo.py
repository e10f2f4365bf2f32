"""`sensorline demo`: see it work, and have it proved, with one command and no server."""

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensorline.commands._options import Json
from sensorline.commands.simulate import say

if TYPE_CHECKING:
    from rich.table import Table

    from sensorline.demo import Proof, Sample
    from sensorline.demo_findings import Finding
    from sensorline.station import Ready

ROWS_SHOWN = 12


def demo(
    seconds: Annotated[
        int | None, typer.Option("--for", metavar="SECONDS", min=1, help="How long.", show_default="until Ctrl-C")
    ] = None,
    devices: Annotated[int, typer.Option("--devices", min=1, max=200, help="Simulated phones and Pis.")] = 10,
    port: Annotated[int, typer.Option("--port", help="0 = any free one.")] = 0,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep the data there.", show_default="a folder removed at the end")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run a station and a simulated fleet in one process, show readings arrive, and prove that none was lost."""
    import tempfile

    from sensorline import demo as work
    from sensorline import loop
    from telemetry.settings import Gateway, Settings

    loop.log_to_stderr("warning")
    folder: AbstractContextManager[str] = (
        tempfile.TemporaryDirectory(prefix="sensorline-demo-") if data_dir is None else nullcontext(str(data_dir))
    )
    shown = _Json() if as_json else _Person(sys.stdout.isatty())
    with folder as path:
        # Not the settings of this folder's station: the demo is the same everywhere.
        settings = Settings(data_dir=Path(path), gateway=Gateway(host="127.0.0.1", port=port))
        plan = work.Plan(settings, devices, seconds)
        with shown:
            proof = loop.run(lambda stop: work.run(plan, shown, stop=stop))
        shown.result(proof)
    if not proof.report.is_clean or proof.report.stored != proof.report.sent:
        raise typer.Exit(1)


class _Json(nullcontext[None]):
    """JSON lines on standard output: where it is, a line a second, the result."""

    def waiting(self, what: str) -> None:
        from sensorline import output

        output.remark(what)

    def ready(self, ready: "Ready") -> None:
        from sensorline import output

        told = {"url": ready.url, "key_file": str(ready.key_file), "password": ready.password}
        output.json_line(told | {"pid": ready.pid})

    def sample(self, sample: "Sample") -> None:
        from dataclasses import asdict

        from sensorline import output

        output.json_line(asdict(sample))

    def finding(self, finding: "Finding") -> None:
        from dataclasses import asdict

        from sensorline import output

        output.json_line({"anomaly": asdict(finding)})

    def result(self, proof: "Proof") -> None:
        from sensorline import output

        output.json_line(proof.to_dict())


class _Person:
    """A table that grows by a line a second; plain lines where there is no terminal."""

    def __init__(self, is_terminal: bool) -> None:
        self._is_terminal = is_terminal
        self._samples: list[Sample] = []
        self._live: AbstractContextManager[object] | None = None

    def __enter__(self) -> None:
        from rich.live import Live

        from sensorline import output

        self._console = output.stdout()
        self._shown = Live(console=self._console, transient=False, auto_refresh=False)

    def __exit__(self, *_: object) -> None:
        self._shown.stop()

    def waiting(self, what: str) -> None:
        from sensorline import output

        output.remark(what)

    def ready(self, ready: "Ready") -> None:
        from telemetry.people import FIRST_PERSON

        self._console.print(f"Station at [bold]{ready.url}[/]  (operator's key in {ready.key_file})", soft_wrap=True)
        if ready.password:
            words = f"Log in at [bold]{ready.url}[/] as {FIRST_PERSON} with [bold]{ready.password}[/]"
            self._console.print(words, soft_wrap=True)
        if self._is_terminal:
            self._shown.start()
        else:
            self._console.print(f"{'second':>8}{'sent':>12}{'stored':>12}{'stored/s':>12}{'lag, records':>14}")

    def sample(self, sample: "Sample") -> None:
        self._samples = [*self._samples, sample][-ROWS_SHOWN - 1 :]
        if self._is_terminal:
            self._shown.update(self._table(), refresh=True)
        else:
            self._console.print(
                "".join(
                    f"{cell:>{width}}"
                    for cell, width in zip(self._cells(len(self._samples) - 1), (8, 12, 12, 12, 14), strict=True)
                )
            )

    def finding(self, finding: "Finding") -> None:
        from rich.text import Text

        line = Text(f"{finding.device}  ", style="bold")
        line.append(finding.words, style={"critical": "bold red", "warning": "yellow"}.get(finding.severity, ""))
        if finding.injected:
            line.append(f"  ({finding.injected} injected {finding.delay_s:.1f} s ago)", style="dim")
        self._console.print(line, soft_wrap=True)

    def result(self, proof: "Proof") -> None:
        for finding in proof.found:
            name = finding.injected if finding.injected == finding.kind else f"{finding.injected} as {finding.kind}"
            self._console.print(f"found: {name} on {finding.device}, told {finding.delay_s:.1f} s after it began")
        if proof.injected > len(proof.found):
            self._console.print(f"not found: {proof.injected - len(proof.found)} of {proof.injected} injected")
        say(proof.report)

    def _table(self) -> "Table":
        from rich.table import Table

        made = Table(box=None, header_style="bold")
        for column in ("second", "sent", "stored", "stored/s", "lag, records"):
            made.add_column(column, justify="right", min_width=10)
        for k in range(max(0, len(self._samples) - ROWS_SHOWN), len(self._samples)):
            made.add_row(*self._cells(k))
        return made

    def _cells(self, k: int) -> list[str]:
        now = self._samples[k]
        before = self._samples[k - 1] if k else None
        stored, span_s = (now.stored - before.stored, now.at_s - before.at_s) if before else (now.stored, now.at_s)
        rate = round(stored / span_s) if span_s else 0
        return [
            f"{now.at_s:.0f}",
            f"{now.sent:,}",
            f"{now.stored:,}",
            f"{rate:,}",
            f"{now.lag.get('index', 0):,}",  # the stateful ones commit only as far as their states are kept
        ]
