"""The page in a real browser: quiet, alone, light and dark, narrow, by keyboard, and not fooled."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pipeline.report.page import write_page
from tests.machine import Raw
from tests.oracles import shop
from tests.pipeline.report.browser import browsing, opened
from tests.pipeline.running import lines_in, run_in

EVIL = [
    "<script>document.title='fooled'</script>",
    "<img src=x onerror=\"document.title='fooled'\">",
    "</svg></table><h1>fooled</h1>",
    "\u202egnirts desrever\u202c",
    "{{ 7 * 7 }} {% raw %}",
    "y" * 10_000,
]
pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as each:
        yield each


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every text of the data is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    records: list[Raw] = []
    for n, evil in enumerate(EVIL):
        for k in range(8):
            texts = {"i": f"{evil}{k % 3}", "land": evil, "add": [evil], "c": evil}
            record = shop.at(n * 9000 + k * 700, a="VIEW", **texts)
            records.append({**record, "u": evil, "id": f"{n} {k}"})
        records.append({**shop.at(n), "u": evil, "i": 1, "a": evil})
    records.append(f'{{"u": 1, "t": "{EVIL[0]}"'.encode())
    ran = run_in(shop.spec_of(), lines_in(folder / "in", {"e": records, "x": []}), folder / "out")
    return ran.folder


@pytest.fixture(scope="module")
def page(out: Path) -> str:
    write_page(out, out.parent / "page.html", EVIL, out.parent / "in")
    return (out.parent / "page.html").as_uri()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1280])
def test_the_page_is_quiet_and_asks_for_nothing_and_fits(
    browser: Browser, page: str, width: int, scheme: str
) -> None:
    with opened(browser, page, width, scheme) as seen:
        for details in seen.page.locator("details").all():
            details.evaluate("one => one.open = true")
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        assert seen.said == []
        assert seen.asked == [page]
        paper = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) > 380) == (scheme == "light")
        ink = seen.page.locator("svg text").first.evaluate("one => getComputedStyle(one).fill")
        assert (sum(map(int, ink[4:-1].split(","))) < 380) == (scheme == "light")


def test_hostile_texts_are_texts(browser: Browser, page: str) -> None:
    with opened(browser, page) as seen:
        assert seen.page.title() == "shop: what compression did"
        assert seen.page.locator("main script, main img, main h1").count() == 0
        text = seen.page.locator("body").text_content() or ""
        for evil in EVIL[:3]:
            assert evil[:20] in text
        raw = seen.page.locator(".came li").all_text_contents()
        assert all(any(evil[:20] in line for line in raw) for evil in EVIL[:3])
        assert "\u202e" not in text
        assert "y" * 400 not in text


def test_every_chart_has_a_name_and_its_numbers_behind_it(browser: Browser, page: str) -> None:
    with opened(browser, page) as seen:
        charts = seen.page.locator(".chart")
        assert charts.count() > 10
        for chart in charts.all():
            assert chart.get_attribute("role") == "img"
            assert len(chart.get_attribute("aria-label") or "") > 20
            assert chart.locator("xpath=following-sibling::details//td").count() > 0


def test_the_keyboard_reaches_the_numbers(browser: Browser, page: str) -> None:
    with opened(browser, page) as seen:
        wanted = seen.page.locator("a[href], summary").count()
        reached = set()
        for _ in range(2 * wanted + 40):
            seen.page.keyboard.press("Tab")
            reached.add(seen.page.evaluate("document.activeElement.outerHTML.slice(0, 200)"))
            if seen.page.evaluate("document.activeElement.tagName") == "SUMMARY":
                break
        assert seen.page.evaluate("document.activeElement.tagName") == "SUMMARY"
        seen.page.keyboard.press("Enter")
        assert seen.page.evaluate("document.activeElement.parentElement.open")
        assert len(reached) > 8  # the way to the content, and all sections


def test_a_watched_page_follows_and_ends_on_interrupt(browser: Browser, out: Path) -> None:
    command = [sys.executable, "-m", "pipeline.cli", "report", str(out), "--watch", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = next(word for word in process.stdout.readline().split() if word.startswith("http"))
        with opened(browser, url) as seen:
            state, facts = seen.page.locator("#state"), seen.page.locator("#facts")
            expect(state).to_contain_text("last change")
            was = facts.inner_text()
            copied = sorted((out / "statistics").glob("*.parquet"))[0]
            twin = copied.with_name("part-twin.parquet")
            twin.write_bytes(copied.read_bytes())  # as if all had come once more
            expect(facts).not_to_have_text(was, use_inner_text=True, timeout=30_000)
            twin.unlink()
            assert seen.said == []
            assert all(asked.startswith((url, "data:")) for asked in seen.asked)
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
            expect(state).to_contain_text("ended", timeout=15_000)
    finally:
        process.kill()
        process.wait()


def test_no_column_lies_over_the_names_of_an_axis(browser: Browser, tmp_path: Path) -> None:
    """Columns of few days are wide, and the first one begins at the axis."""
    records = [shop.at(86_400_000 * day, i=day, a="VIEW") for day in range(3)]
    read = lines_in(tmp_path / "in", {"e": records, "x": []})
    write_page(run_in(shop.spec_of(), read, tmp_path / "out").folder, tmp_path / "page.html")
    with opened(browser, (tmp_path / "page.html").as_uri()) as seen:
        chart = seen.page.locator("#vocabulary .chart").first
        names = chart.locator(".role-axis-label text").all()
        columns = chart.locator(".mark-rect.role-mark path").all()
        boxes = [[one.bounding_box() for one in each] for each in (names, columns)]
        assert all(len(each) >= 3 for each in boxes)
        for name in boxes[0]:
            for column in boxes[1]:
                assert name is not None
                assert column is not None
                apart = name["x"] + name["width"] <= column["x"]
                assert apart or name["y"] >= column["y"] + column["height"]
        assert [name.text_content() for name in names] == ["14 Nov", "15 Nov", "16 Nov", "0", "1"]
