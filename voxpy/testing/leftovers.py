"""Which tasks there are: what a world must not leave behind."""

from __future__ import annotations

from collections.abc import Iterable

import trio

__all__ = ["system_tasks", "tasks_of"]


def tasks_of(nurseries: Iterable[trio.Nursery]) -> set[trio.lowlevel.Task]:
    """Return every task in these nurseries, and in theirs."""
    found: set[trio.lowlevel.Task] = set()
    for nursery in nurseries:
        for task in nursery.child_tasks:
            found |= {task} | tasks_of(task.child_nurseries)
    return found


def system_tasks() -> set[trio.lowlevel.Task]:
    """Return the tasks that belong to the loop itself: what no nursery of ours would wait for."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {task for nursery in root.child_nurseries for task in nursery.child_tasks}
