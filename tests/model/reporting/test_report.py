"""Reports reach every sink, with the speed since the one before."""

from dataclasses import dataclass, field

from model.reporting.report import SPEED, Report, Reported


@dataclass
class Kept:
    """A sink that keeps what it is told."""

    reports: list[Reported] = field(default_factory=list)
    closed: int = 0

    def write(self, reported: Reported) -> None:
        self.reports.append(reported)

    def close(self) -> None:
        self.closed += 1


def test_each_sink_is_told_the_figures_and_the_speed() -> None:
    now = [100.0]
    one, two = Kept(), Kept()
    with Report([one, two], tokens=1000, clock=lambda: now[0]) as report:
        now[0] = 102.0
        report.step({"loss": 0.5}, step=7, tokens=1600)
        now[0] = 102.5
        report.step({"loss": 0.25}, step=8, tokens=1700)
        report.step({"loss": 0.125}, step=9, tokens=1800)  # no time has passed
    assert one.reports == two.reports
    assert [reported.figures for reported in one.reports] == [
        {"loss": 0.5, SPEED: 300.0},
        {"loss": 0.25, SPEED: 200.0},
        {"loss": 0.125},
    ]
    assert [(reported.step, reported.tokens) for reported in one.reports] == [
        (7, 1600),
        (8, 1700),
        (9, 1800),
    ]
    assert one.closed == two.closed == 1


def test_without_sinks_nothing_happens() -> None:
    with Report() as report:
        report.step({"loss": 1.0}, step=1, tokens=5)
