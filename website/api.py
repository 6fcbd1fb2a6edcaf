"""The pages of the API, written from the public names: one a room, and one with every name of `rfjax` itself."""

import ast

from website.names import PACKAGE, Name, exported, homes, rooms, shadowed, tree

HEAD = """# Every name

All that is public, a page a room.

"""
OWN = """
## Names of rfjax itself

What `import rfjax as rf` gives beside rooms.

| name | what it is |
|---|---|
"""


def pages() -> dict[str, str]:
    """The Markdown of every page, by its file."""
    return {"api/index.md": index(), **{page(room): room_page(room) for room in rooms()}}


def page(room: str) -> str:
    """The file of a room."""
    return f"api/{room.removeprefix(f'{PACKAGE}.')}.md"


def index() -> str:
    """A table of the rooms and one of the names of rfjax itself."""
    text = HEAD + "| room | what is there |\n|---|---|\n"
    for room in rooms():
        short = room.removeprefix(f"{PACKAGE}.")
        text += f"| [{short}]({short}.md) | {first_line(ast.get_docstring(tree(room)) or '')} |\n"
    text += OWN
    for name in sorted(exported(PACKAGE), key=lambda name: name.name.lower()):
        if name.path in homes() and name.documentation:
            text += f"| `rf.{name.name}` | {first_line(name.documentation)} |\n"
    return text


def first_line(text: str) -> str:
    """The first sentence or line of a docstring, as a cell of a table."""
    return " ".join(text.split("\n\n")[0].split()).split(".  ")[0].removesuffix(":").replace("|", "\\|")


def room_page(room: str) -> str:
    """What a room is, its functions, its classes, its values; a name that is described elsewhere is a link there."""
    short = room.removeprefix(f"{PACKAGE}.")
    text = f"# {short}\n\n::: {room}\n    options:\n      members: false\n      show_root_heading: false\n\n"
    here = [name for name in rooms()[room] if homes()[name.path] == name]
    for title, kind in (("Functions", "function"), ("Classes", "class"), ("Values", "value")):
        found = sorted((name for name in here if name.kind == kind), key=lambda name: name.name.lower())
        if found:
            text += f"## {title}\n\n" + "".join(map(values if kind == "value" else entry, found))
    others = [homes()[name.path] for name in rooms()[room] if homes()[name.path] != name]
    if others:
        text += "## Also here\n\n" + "".join(f"- [`{name.name}`][{name.path}]\n" for name in others)
    return text


def entry(name: Name) -> str:
    """A function or a class."""
    return f"::: {name.path}{'()' if shadowed(name) else ''}\n    options:\n      heading: {name.name}\n\n"


def values(name: Name) -> str:
    """A value: the statement that makes it."""
    comment = name.documentation or ""
    note = f"{comment}\n\n" if "\n" not in comment else ""
    return f"### `{name.name}` {{ #{name.path} }}\n\n{note}```python\n{name.code}\n```\n\n"
