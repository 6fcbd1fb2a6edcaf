"""The front of `python -m benchmarks`: several suites in one call, clear faults, and the page of what was measured."""

import json
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as front
from benchmarks.report import Row


@pytest.fixture
def two(monkeypatch, tmp_path):
    """Two suites of one row each."""

    def suite(name: str) -> tuple:
        cases = [lambda: [Row("only", name, {"n": 3}, seconds=0.5, error=0.25, target={"error": 0.1})]]
        made = SimpleNamespace(PRESETS={"default": Row("", "", {})}, GROUPS={"only": None}, cases=lambda *_: cases)
        return made, "of a test"

    monkeypatch.setattr(front, "SUITES", {"one": suite("one"), "two": suite("two")})
    monkeypatch.setattr(front, "RESULTS", tmp_path)
    return tmp_path


def test_several_suites_in_one_call(two, capsys):
    front.main(["one", "two"])
    found = {name: json.loads((two / f"{name}.json").read_text()) for name in ("one", "two")}
    for name, about in found.items():
        assert about["suite"] == about["rows"][0]["name"] == name
        assert {"device", "versions", "commit", "date", "cores"} <= set(about)
        assert about["rows"][0]["met"] is False
    page = front.rendered(list(found.values()))
    assert "## one" in page and "| only | two | n=3 | 0.5 |  |  | 0.25 | error ≤ 0.1 | no |" in page
    (two / "one.json").unlink()
    front.main([])  # all of them
    assert (two / "one.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["three"], "a suite is one of one, two; got 'three'"),
        (["--only", "only"], "--only and --out are for one suite"),
        (["one", "--only", "group"], "one has the groups only; got 'group'"),
        (["one", "--preset", "large"], "one has the presets default; got 'large'"),
        (["one", "--data", "."], "--data is for"),
    ],
)
def test_faults(two, capsys, arguments, says):
    with pytest.raises(SystemExit) as raised:
        front.main(arguments)
    assert raised.value.code == 2
    assert says in capsys.readouterr().err
    assert not list(two.iterdir())


def test_the_page_is_that_of_the_files():
    assert (front.DOCS / "measured.md").read_text() == front.page(), "python -m benchmarks --render writes it anew"
