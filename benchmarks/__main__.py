"""The command `python -m benchmarks`: one subcommand a suite."""

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

from benchmarks import empirical, features, kernels, ntk_features, regression, theory, training
from benchmarks.report import header, record, table
from rfjax.progress import reporter
from rfjax.storage import StorageError, open_folder

RESULTS = Path("results/benchmarks")
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
    asked = _parser().parse_args(arguments)
    suite = SUITES[asked.suite][0]
    name = asked.suite if asked.only is None else f"{asked.suite}-{asked.only}"  # a part never replaces the whole
    out = asked.out or RESULTS / f"{name}.json"
    sizes = suite.PRESETS[asked.preset]
    if asked.data is not None:
        sizes = replace(sizes, data=asked.data)
    cases = suite.cases(sizes, asked.only)
    about = {"suite": asked.suite, "preset": asked.preset, "only": asked.only, **header()}
    rows = []
    try:
        open_folder(out.parent)
        with reporter(True, len(cases), asked.suite) as report:
            for done, case in enumerate(cases, 1):
                rows += case()
                record(out, about, rows)
                if report is not None:
                    report(done)
    except StorageError as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("benchmarks: interrupted; what was measured is in the file", file=sys.stderr)
        raise SystemExit(130) from None
    table(about, rows)
    print(f"written to {out}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    suites = parser.add_subparsers(required=True, metavar="suite", dest="suite")
    for name, (module, line) in SUITES.items():
        suite = suites.add_parser(name, help=line)
        suite.add_argument("--preset", choices=list(module.PRESETS), default="default")
        suite.add_argument("--only", choices=list(module.GROUPS), help="one group")
        takes_data = any(field.name == "data" for field in fields(module.PRESETS["default"]))
        suite.set_defaults(data=None)
        if takes_data:
            suite.add_argument("--data", type=Path, help="the folder of real data sets, NAME.npz")
        suite.add_argument("--out", type=Path, help=f"the JSON file ({RESULTS}/{name}.json, {name}-GROUP.json)")
    return parser


if __name__ == "__main__":
    main()
