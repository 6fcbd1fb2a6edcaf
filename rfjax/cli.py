"""The command `rfjax`: finds the subcommands, nothing more."""

import os
import sys

INSTALL = "rfjax: the command needs its extra: pip install 'rfjax[experiments]'"


def main(arguments: list[str] | None = None) -> None:
    """Run the subcommand that `arguments` (default: the command line) name.

    Exit codes: 0 done, 2 bad input, an unusable folder, or workers that died (one line on stderr), 130 interrupted.
    """
    try:
        import matplotlib  # noqa: F401
        import rich  # noqa: F401
        import tyro
    except ImportError:
        print(INSTALL, file=sys.stderr)
        raise SystemExit(2) from None
    from rfjax.commands import commands
    from rfjax.experiments.cells import WorkerError
    from rfjax.storage import StorageError

    arguments = sys.argv[1:] if arguments is None else arguments
    command = tyro.extras.subcommand_cli_from_dict(
        commands(arguments[0] if arguments else None),
        args=arguments,
        prog="rfjax",
        description="One network, five views: what each of them can learn, measured on this machine.",
    )
    try:
        command.run()
    except (StorageError, WorkerError, ValueError, TypeError, ImportError) as error:
        print(f"rfjax: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("rfjax: interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)  # not waiting for cells that threads are still computing: every finished one is stored


if __name__ == "__main__":
    main()
