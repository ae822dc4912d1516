"""The nursery behind an ``async with``, without its exception groups."""

from __future__ import annotations

from types import TracebackType

import trio

__all__ = ["Block"]


class Block:
    """The nursery of an ``async with``, from which a single error comes out ungrouped."""

    nursery: trio.Nursery

    async def __aenter__(self) -> trio.Nursery:
        """Open it."""
        self._manager = trio.open_nursery()
        self.nursery = await self._manager.__aenter__()
        return self.nursery

    async def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs and wait for it. Raises what happened inside."""
        self.nursery.cancel_scope.cancel()
        try:
            await self._manager.__aexit__(kind, error, traceback)
        except BaseExceptionGroup as group:
            only = _only(group)
            if only is None:
                raise
            raise only from only.__cause__


def _only(error: BaseException) -> BaseException | None:
    """Return the one error in a group of groups, cancellations aside; None if there are more."""
    while isinstance(error, BaseExceptionGroup):
        _, rest = error.split(trio.Cancelled)
        if rest is None or len(rest.exceptions) != 1:
            return None
        error = rest.exceptions[0]
    return error
