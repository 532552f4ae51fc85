"""Whose kernels are measured, which is asked for and never left to how this package was installed.

`python -m benchmarks...` imports the package from the folder it is started in, and a clone has kernels there only
after `pip install -e`; without a word, XLA's would be measured for them. `python -m benchmarks.kernels` says which.
"""

import argparse
import os
import platform
import sys

X86 = ("x86_64", "amd64")


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options, of which `--kernels` is one, and what it says done."""
    add_option(parser)
    args = parser.parse_args()
    settle(args.kernels)
    return args


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add `--kernels`."""
    parser.add_argument(
        "--kernels",
        choices=("auto", "xla"),
        default="auto",
        help="auto: this package's, and no measurement where they belong and are missing; xla: XLA's (default auto)",
    )


def settle(choice: str) -> None:
    """Turn this package's kernels off if XLA's are asked for; end the process where they belong and are missing."""
    # Not above: a process that is timed from its start must not have imported what its method does not need.
    from ddpg_jax.native import library

    if choice == "xla":
        os.environ[library.SWITCH] = "0"  # in the processes that are started from here, too
    missing = expected() and library.why_not()
    if missing:
        print(f"benchmarks: error: {missing}; --kernels xla measures XLA's", file=sys.stderr)
        sys.exit(2)


def expected() -> bool:
    """Whether this package's kernels belong here: on x86, unless they were turned off or it lacks the instructions."""
    import jax

    from ddpg_jax.native import library
    from ddpg_jax.native.interface import is_known

    on_x86 = jax.default_backend() == "cpu" and platform.machine().lower() in X86
    compiled = any(map(library.open_build, library.BUILDS))
    return on_x86 and library.is_wanted() and not (compiled and is_known() and not library.load())


def main() -> None:
    """Say which kernels are measured, or why none can be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse(parser)
    from ddpg_jax.native import library

    print(f"kernels: {library.name()}")


if __name__ == "__main__":
    main()
