"""What a person meant by an option that does not exist."""

import difflib
import re

from ddpg_jax.runs.console.peer_names import PEER_NAMES


def remedy(option: str, known: list[str], command: str) -> str:
    """The option of a command that is meant by one that does not exist, or where all are listed.

    It is the one of that name in another section, or what another library calls so, or the nearest.

    Args:
        option: as it was typed.
        known: flags of the command.
        command: its name.
    """
    name = option.lstrip("-").replace("_", "-") if option.startswith("-") else ""
    theirs = PEER_NAMES.get(name, "")
    same = [flag for flag in known if name == flag.removeprefix("--").rpartition(".")[2]]
    if not same and theirs and named_flags(theirs) <= set(known):
        return theirs
    close = difflib.get_close_matches(name, [flag.removeprefix("--") for flag in known], n=1, cutoff=0.5)
    meant = [*same, *(f"--{flag}" for flag in close)]
    return f"did you mean {meant[0]}?" if meant else f"see ddpg-jax {command} --help"


def named_flags(sentence: str) -> set[str]:
    """Flags that a sentence names."""
    return set(re.findall(r"--[a-z][a-z.-]*", sentence))
