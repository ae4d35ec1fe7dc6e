"""Plugin of pytest (`-p counting`): its last line counts, in the words that all commands of tests/ end with."""

from __future__ import annotations


def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    # A worker of a parallel run has none; whoever started it counts.
    if reporter is None:
        return
    passed, failed, errors, skipped = (
        len(reporter.stats.get(outcome, [])) for outcome in ("passed", "failed", "error", "skipped")
    )
    print(f"{passed} passed, {failed + errors} failed, {skipped} skipped", flush=True)
