"""Plugin of pytest (`-p counting`): its last line counts, in the words that all commands of tests/ end with."""

from __future__ import annotations

import pytest

ENDED = pytest.StashKey[int]()


def pytest_sessionfinish(session, exitstatus):
    session.config.stash[ENDED] = int(exitstatus)


def pytest_unconfigure(config):
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    # A worker of a parallel run has none; whoever started it counts.
    if reporter is None:
        return
    passed, failed, errors, skipped = (
        len(reporter.stats.get(outcome, [])) for outcome in ("passed", "failed", "error", "skipped")
    )
    failed += errors
    # What never began, was broken off, or ran no test, shows in no count.
    if config.stash.get(ENDED, 1) != 0 and failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
