"""The names of the commands, and which of them a command line means; imports nothing."""

from __future__ import annotations

COMMANDS = ("serve", "check-config", "check-healthy", "fetch", "backfill", "simulate", "demo")
DEFAULT = "serve"
# They run until a signal ends them, which is how they are meant to end.
DAEMONS = frozenset({"serve", "simulate", "demo"})


def split(words: list[str]) -> tuple[str | None, list[str]]:
    """The command that is named (None: none is) and the other words, wherever it stands among them."""
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        value_of_a_flag = before.startswith("--") and "=" not in before and before not in {"--help", "--version"}
        if word in COMMANDS and not value_of_a_flag:
            return word, [*words[:position], *words[position + 1 :]]
    return None, words
