"""The names of the commands, and which one a command line names; imports nothing."""

from __future__ import annotations

COMMANDS = ("serve", "check-config", "check-healthy", "fetch", "backfill", "probe", "simulate", "demo")
DEFAULT = "serve"
# The flags without a value, of all commands: what follows one can be the command.
SWITCHES = frozenset(
    {
        *("--help", "--version", "--config.enable-auto-reload", "--web.systemd-socket", "--web.enable-lifecycle"),
        *("--syntax-only", "--online", "--schema", "--tls.insecure-skip-verify", "--overwrite", "--values", "--admin"),
    }
)
# Commands that run until a signal stops them.
DAEMONS = frozenset({"serve", "simulate", "demo"})


def split(words: list[str]) -> tuple[str | None, list[str]]:
    """The command in a command line (None: there is none), at any position, and the other words."""
    for position, word in enumerate(words):
        before = words[position - 1] if position else ""
        value_of_a_flag = before.startswith("--") and "=" not in before and before not in SWITCHES
        if word in COMMANDS and not value_of_a_flag:
            return word, [*words[:position], *words[position + 1 :]]
    return None, words
