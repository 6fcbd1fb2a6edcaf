"""The gallery: a page an example of docs/examples, with its figure and its code, and cards that lead there."""

import ast
import re
from pathlib import Path

from website.names import ROOT

EXAMPLES, FIGURES = ROOT / "docs/examples", ROOT / "docs/figures"
MARK = "<!-- examples -->"


def examples() -> list[Path]:
    """The scripts."""
    return sorted(EXAMPLES.glob("*.py"))


def pages() -> dict[str, str]:
    """The Markdown of every example's page, by its file."""
    return {f"gallery/{script.stem}.md": page(script) for script in examples()}


def cards() -> str:
    """A card an example: its figure and what it shows."""
    text = '<div class="gallery" markdown>\n\n'
    for script in examples():
        title, rest = shown(script)
        text += f"[![{title}](figures/{figure(script)}) **{title}**](gallery/{script.stem}.md)<br>{rest}\n\n"
    return text + "</div>"


def shown(script: Path) -> tuple[str, str]:
    """The first line of a script's docstring: what comes before its colon, and what comes after."""
    line = (ast.get_docstring(ast.parse(script.read_text())) or script.stem).split("\n")[0]
    title, _, rest = line.partition(": ")
    return title.removesuffix("."), rest[:1].upper() + rest[1:]


def figure(script: Path) -> str:
    """The file of a script's figure."""
    return next(
        (f"{script.stem}.{kind}" for kind in ("svg", "png") if (FIGURES / f"{script.stem}.{kind}").exists()), ""
    )


def page(script: Path) -> str:
    """The figure, and the code with its `# %%` comments as text between."""
    title, rest = shown(script)
    text = f"# {title}\n\n{rest}\n\n![{title}](../figures/{figure(script)})\n\n"
    text += f"`python docs/examples/{script.name}` draws it.\n\n"
    code = script.read_text().split('"""', 2)[2]
    for cell in re.split(r"^# %%", code, flags=re.M):
        lines = cell.strip("\n").split("\n")
        while lines and lines[0].startswith(("#", " ")) and cell is not code:
            text += lines.pop(0).lstrip("# ") + "\n"
        body = "\n".join(lines).strip("\n")
        text += f"\n```python\n{body}\n```\n\n" if body else "\n"
    return text
