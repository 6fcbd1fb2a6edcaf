"""`python -m website` builds the site into results/site, strictly: a warning fails it."""

import argparse
import logging
import os
import sys
from pathlib import Path

CONFIG = Path(__file__).with_name("mkdocs.yml")


def main() -> int:
    """Build, or serve while pages are written; `--external` asks every address outside the site too."""
    os.environ.setdefault("NO_MKDOCS_2_WARNING", "1")  # of the theme, about an MkDocs that is not this one
    parser = argparse.ArgumentParser(prog="python -m website", description="Build the documentation site.")
    parser.add_argument("--out", type=Path, default=CONFIG.parents[1] / "results/site", help="where to (results/site)")
    parser.add_argument("--serve", action="store_true", help="serve it at 127.0.0.1:8000, anew at every change")
    parser.add_argument("--external", action="store_true", help="then check the links that leave the site")
    options = parser.parse_args()
    from mkdocs.commands import build, serve  # after the environment is set
    from mkdocs.config import load_config
    from mkdocs.exceptions import Abort

    from website import links

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    if options.serve:
        serve.serve(str(CONFIG), watch=[str(CONFIG.parents[1] / "rfjax")])
        return 0
    config = load_config(str(CONFIG), strict=True, site_dir=str(options.out.resolve()))
    try:
        build.build(config)
    except Abort as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{options.out}/index.html")
    faults = links.unreachable(options.out) if options.external else []
    print("\n".join(faults))
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
