"""The command `python -m benchmarks`: one suite or several, and the table of what was measured."""

import argparse
import json
import sys
from dataclasses import fields, replace
from pathlib import Path

from benchmarks import empirical, features, kernels, ntk_features, regression, theory, training
from benchmarks.report import header, record, rendered, table
from rfjax.progress import reporter
from rfjax.storage import StorageError, open_folder

RESULTS = Path("results/benchmarks")
DOCS = Path(__file__).parents[1] / "docs"
SUITES = {
    "empirical": (empirical, "empirical NTKs of finite networks, beside neural-tangents and torch.func"),
    "kernels": (kernels, "Gram matrices and their products: speed, memory, float32 error"),
    "features": (features, "feature maps: speed, error of their kernel, regression on them"),
    "ntk_features": (ntk_features, "features of neural tangent kernels beside exact regression with them"),
    "regression": (regression, "fits of a hundred points to a million: time, memory and error"),
    "theory": (theory, "predictions beside simulations, and what a prediction costs"),
    "training": (training, "many networks at once beside loops; wide networks beside their linearisation"),
}


def main(arguments: list[str] | None = None) -> None:
    """Measure what `arguments` (default: the command line) ask for, write it as JSON and print it as a table.

    Exit codes: 0 done (whether or not targets are met), 2 bad input or an unusable folder, 130 interrupted.
    """
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.render:
        (DOCS / "measured.md").write_text(page())
        return
    suites = asked.suites or list(SUITES)
    if fault := _fault(asked, suites):
        parser.error(fault)
    try:
        for name in suites:
            _run(name, asked)
    except StorageError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("benchmarks: interrupted; what was measured is in the file", file=sys.stderr)
        raise SystemExit(130) from None


def page() -> str:
    """docs/measured.md: all files of docs/measured as tables."""
    return rendered([json.loads(file.read_text()) for file in sorted((DOCS / "measured").glob("*.json"))])


def _fault(asked: argparse.Namespace, suites: list[str]) -> str | None:
    """What does not go together in what was asked for."""
    if unknown := [name for name in suites if name not in SUITES]:
        return f"a suite is one of {', '.join(SUITES)}; got {unknown[0]!r}"
    if len(suites) > 1 and (asked.only or asked.out):
        return "--only and --out are for one suite"
    for name in suites:
        module = SUITES[name][0]
        if asked.preset not in module.PRESETS:
            return f"{name} has the presets {', '.join(module.PRESETS)}; got {asked.preset!r}"
        if asked.only not in (None, *module.GROUPS):
            return f"{name} has the groups {', '.join(module.GROUPS)}; got {asked.only!r}"
    if asked.data is not None and not any(_takes_data(name) for name in suites):
        return f"--data is for {', '.join(name for name in SUITES if _takes_data(name))}"
    return None


def _takes_data(name: str) -> bool:
    return any(field.name == "data" for field in fields(SUITES[name][0].PRESETS["default"]))


def _run(name: str, asked: argparse.Namespace) -> None:
    """One suite: its file is written anew after every measurement."""
    suite = SUITES[name][0]
    part = name if asked.only is None else f"{name}-{asked.only}"  # a part never replaces the whole
    out = asked.out or RESULTS / f"{part}.json"
    sizes = suite.PRESETS[asked.preset]
    if asked.data is not None and _takes_data(name):
        sizes = replace(sizes, data=asked.data)
    cases = suite.cases(sizes, asked.only)
    about = {"suite": name, "preset": asked.preset, "only": asked.only, **header()}
    rows = []
    open_folder(out.parent)
    with reporter(True, len(cases), name) as report:
        for done, case in enumerate(cases, 1):
            rows += case()
            record(out, about, rows)
            if report is not None:
                report(done)
    table(about, rows)
    print(f"written to {out}")


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(
        f"  {name:14s} {line}\n{'':17s}groups: {', '.join(module.GROUPS)}" for name, (module, line) in SUITES.items()
    )
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"{__doc__}\n\nsuites (default: all):\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("suites", nargs="*", metavar="suite", help="one or several; default: all")
    parser.add_argument("--preset", default="default", help="smoke: tiny sizes, only whether it runs")
    parser.add_argument("--only", help="one group of one suite")
    parser.add_argument("--data", type=Path, help="the folder of real data sets, NAME.npz")
    parser.add_argument("--out", type=Path, help=f"the JSON file of one suite ({RESULTS}/SUITE.json, SUITE-GROUP.json)")
    parser.add_argument("--render", action="store_true", help="write docs/measured.md anew, from docs/measured/*.json")
    return parser


if __name__ == "__main__":
    main()
