"""The gallery: a page an example of docs/examples, with its figure and its code, and cards that lead there."""

import ast
import re
from pathlib import Path

from website.names import ROOT

EXAMPLES, FIGURES = ROOT / "docs/examples", ROOT / "docs/figures"
MARK = "<!-- examples -->"


def examples() -> list[Path]:
    """The scripts, but for those that draw what has not been measured yet."""
    return sorted(script for script in EXAMPLES.glob("*.py") if not unmeasured(script))


def unmeasured(script: Path) -> list[str]:
    """The files of measurements that a script reads and that are not there."""
    named = re.findall(r"measured/[\w-]+\.json", script.read_text())
    return [name for name in named if not (ROOT / "docs" / name).exists()]


def pages() -> dict[str, str]:
    """The Markdown of every example's page, by its file."""
    return {f"gallery/{script.stem}.md": page(script) for script in examples()}


def cards() -> str:
    """A card an example: its figure and what it shows."""
    text = '<div class="gallery" markdown>\n\n'
    for script in examples():
        title, rest = shown(script)
        image = "".join(f"![{title}](figures/{name}) " for name in figures(script)[:1])
        text += f"[{image}**{title}**](gallery/{script.stem}.md)<br>{rest}\n\n"
    return text + "</div>"


def shown(script: Path) -> tuple[str, str]:
    """The first line of a script's docstring: what comes before its colon or question mark, and what comes after."""
    line = (ast.get_docstring(ast.parse(script.read_text())) or script.stem).split("\n")[0]
    title, rest = (*re.split(r": |(?<=\?) +", line, maxsplit=1), "")[:2]
    return title.removesuffix("."), rest[:1].upper() + rest[1:]


def figures(script: Path) -> list[str]:
    """The files of a script's figures: those with its name, else those whose names it quotes; vectors before pixels."""
    files = {file.stem: file.name for kind in ("png", "svg") for file in sorted(FIGURES.glob(f"*.{kind}"))}
    if script.stem in files:
        return [files[script.stem]]
    return [name for stem, name in sorted(files.items()) if f'"{stem}"' in script.read_text()]


def page(script: Path) -> str:
    """The figure, and the code with its `# %%` comments as text between."""
    title, rest = shown(script)
    text = f"# {title}\n\n{rest}\n\n" + "".join(f"![{title}](../figures/{name})\n\n" for name in figures(script))
    text += f"Drawn by `python docs/examples/{script.name}`.\n\n"
    code = script.read_text().split('"""', 2)[2]
    for cell in re.split(r"^# %%", code, flags=re.M):
        lines = cell.strip("\n").split("\n")
        while lines and lines[0].startswith(("#", " ")) and cell is not code:
            text += lines.pop(0).lstrip("# ") + "\n"
        body = "\n".join(lines).strip("\n")
        text += f"\n```python\n{body}\n```\n\n" if body else "\n"
    return text
