"""Keeps account of images that could not be decoded."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable

from absl import logging


class BrokenImages:
    """The images of a split that were skipped because they could not be read or decoded.

    Counts on while datasets of the split are iterated over, from any thread. A name is logged as
    a warning the first time it turns up.
    """

    def __init__(self) -> None:
        """Starts with none."""
        self._skipped: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """How often an image was skipped; once an epoch for each that is broken."""
        with self._lock:
            return self._skipped.total()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the skipped images, each once, sorted."""
        with self._lock:
            return tuple(sorted(self._skipped))

    def reset(self) -> None:
        """Forgets all, for instance before the next epoch."""
        with self._lock:
            self._skipped.clear()

    def add(self, names: Iterable[str]) -> None:
        """Counts and logs skipped images.

        Args:
            names: what the user finds each by.
        """
        for name in names:
            with self._lock:
                known = name in self._skipped
                self._skipped[name] += 1
            if not known:
                logging.warning('Skipped a broken image: %s could not be read or decoded.', name)

    def __repr__(self) -> str:
        return f'BrokenImages(count={self.count}, names={self.names})'
