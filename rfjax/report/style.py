"""How a report looks."""

STYLE = """
:root { --ink: #1c2024; --soft: #60656c; --line: #dfe3e8; --paper: #ffffff; --raised: #f6f7f9; --accent: #0b62a8;
  --warm: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9ba1a8; --line: #33383f; --paper: #14171a;
  --raised: #1c2024; --accent: #6cb6f5; --warm: #e0b25c; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.35rem; margin: 0 0 .6rem; }
a { color: var(--accent); } code { font-size: .9em; }
nav ul { padding: 0; margin: .6rem 0 0; list-style: none; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
section { border-top: 1px solid var(--line); padding-top: 1.6rem; margin-top: 1.8rem; }
p { max-width: 46rem; margin: .5rem 0; }
.claim { font-size: 1.08rem; } .note { color: var(--soft); font-size: .88rem; } .warning { color: var(--warm); }
.findings { border-left: 4px solid var(--accent); background: var(--raised); padding: .6rem .9rem; font-weight: 600; }
figure { margin: 1.2rem 0; } figcaption { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 38rem; height: auto; background: #fff; border-radius: 6px;
  border: 1px solid var(--line); font-family: "DejaVu Sans", Verdana, sans-serif; }
@media (prefers-color-scheme: dark) { figure svg { filter: invert(.92) hue-rotate(180deg); border-color: #ccc7c0; } }
details { border: 1px solid var(--line); border-radius: 6px; margin: .6rem 0; background: var(--raised); }
summary { cursor: pointer; padding: .45rem .8rem; font-weight: 600; font-size: .95rem; }
details .scroll { border-top: 1px solid var(--line); background: var(--paper); max-height: 34rem; overflow-y: auto; }
table { border-collapse: collapse; font-size: .86rem; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .8rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td, thead th { white-space: nowrap; } .settings td { white-space: normal; width: 100%; }
thead th { position: sticky; top: 0; background: var(--raised); } .settings th { font-weight: 500; white-space: nowrap; }
.number { text-align: right; }
@media print { details { break-inside: avoid; } details > * { display: block; } nav { display: none; } }
""".strip()
