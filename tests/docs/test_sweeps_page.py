"""The code of docs/sweeps.md runs, and its second run is from the store."""


def test_the_page_runs(run):
    space = run("docs/sweeps.md")
    assert [row["square"] for row in space["rows"]] == [0, 1, 4, 9, 16]
    assert space["again"] == space["rows"]
