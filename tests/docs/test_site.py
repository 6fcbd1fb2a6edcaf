"""The site: every public name is documented and has its place, every citation its entry, and it builds without warnings."""

import ast
import re
import subprocess
import sys

import pytest

from rfjax import citing
from website import api, crosslinks, gallery, links, names


def test_every_public_name_is_documented():
    every = [name for found in names.rooms().values() for name in found]
    assert len(every) > 150
    undocumented = [name.path for name in every if not name.documentation]
    assert not undocumented, "give each a docstring, or a comment where it is a value"


def test_every_public_name_is_on_one_page_of_the_api():
    pages = api.pages()
    listed = [name for module in (names.PACKAGE, *names.rooms()) for name in names.exported(module)]
    for name in listed:
        if name.kind == "module":
            assert name.module in names.rooms(), f"{name.path} is public, and has no public names of its own"
            continue
        home = names.homes()[name.path]
        text = pages[api.page(home.room)]
        entries = (f"::: {home.path}\n", f"::: {home.path}()\n", f"{{ #{home.path} }}")
        assert sum(text.count(entry) for entry in entries) == 1, name.path


def test_names_are_those_of_the_package():
    import rfjax

    assert {name.name for name in names.exported("rfjax")} == set(rfjax.__all__)
    for room in ("kernels", "tasks", "networks"):
        module = getattr(rfjax, room)
        kinds = {"function": callable, "class": lambda value: isinstance(value, type)}
        for name in names.exported(f"rfjax.{room}"):
            assert kinds.get(name.kind, bool)(getattr(module, name.name)), name.path


def test_every_citation_is_in_the_bibliography():
    missing = set()
    for source in crosslinks.sources():
        text = source.read_text()
        if source.suffix == ".py":
            documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
            text = "\n\n".join(ast.get_docstring(node) or "" for node in nodes)
        missing |= {(cited, source.name) for cited in crosslinks.cited(text) if cited not in crosslinks.entries()}
    assert not missing, "add each to docs/bibliography.md"


def test_what_rfjax_cites_is_in_the_bibliography_too():
    plain = {"{\\'e}": "é", "{\\'i}": "í", '{\\"o}': "ö"}
    for key, entry in citing._entries().items():
        for code, letter in plain.items():
            entry = entry.replace(code, letter)
        authors = re.search(r"author = \{(.*)\},", entry)[1].split(" and ")
        names = [author.split(",")[0] for author in authors]
        listed = " & ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
        year = re.search(r"year = \{(\d+)\}", entry)[1]
        assert f"{listed} {year}" in crosslinks.entries(), key


def test_names_and_citations_become_links():
    found = crosslinks.link(
        "<p><code>rf.ntk(net)</code> of Cho &amp; Saul 2009, <code>rf.nothing</code></p>", "api/x.html"
    )
    assert '<a class="name" href="../api/views.html#rfjax.views.ntk"><code>rf.ntk(net)</code></a>' in found
    assert '<a href="../bibliography.html#cho-saul-2009">Cho &amp; Saul 2009</a>' in found
    assert "<code>rf.nothing</code>" in found
    closed = "<pre><code>rf.ntk(net)</code></pre><a><code>rf.ntk</code></a>"
    assert crosslinks.link(closed, "x.html") == closed


def test_every_example_has_a_figure_and_a_title():
    for script in gallery.examples():
        assert gallery.figures(script), f"{script.name} draws docs/figures/{script.stem}.svg or .png"
        assert gallery.shown(script)[0] != script.stem, f"{script.name} needs a docstring"


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#here">b</a><a href="c.html">c</a><a href="b.html#there">b</a>')
    (tmp_path / "b.html").write_text('<h1 id="here">b</h1><a href="https://example.org">out</a>')
    assert [line.split(": ")[1].split()[0] for line in links.broken(tmp_path)] == ["b.html#there", "c.html"]
    assert links.external(tmp_path) == ["https://example.org"]


@pytest.mark.slow
def test_the_site_builds_without_warnings(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "website", "--out", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=names.ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (tmp_path / "site/api/kernels.html").read_text()
    assert 'id="rfjax.kernels.rbf"' in text
    assert "WARNING" not in done.stderr
