"""A record of the images that could not be decoded."""

from __future__ import annotations

import collections
import threading
from collections.abc import Iterable

from absl import logging


class BrokenImages:
    """A record of the images of a split that were skipped because they could not be decoded.

    The record grows while datasets of the split are iterated over, from any thread. The name of
    an image is logged as a warning when the image is skipped for the first time.
    """

    def __init__(self) -> None:
        """Creates an empty record."""
        self._skipped: collections.Counter[str] = collections.Counter()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The number of times that an image was skipped, once an epoch for each broken image."""
        with self._lock:
            return self._skipped.total()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the skipped images, each once, sorted."""
        with self._lock:
            return tuple(sorted(self._skipped))

    def reset(self) -> None:
        """Empties the record, for instance before the next epoch."""
        with self._lock:
            self._skipped.clear()

    def add(self, names: Iterable[str]) -> None:
        """Counts and logs skipped images.

        Args:
            names: The names by which the user finds the images, such as their paths.
        """
        for name in names:
            with self._lock:
                known = name in self._skipped
                self._skipped[name] += 1
            if not known:
                logging.warning('Skipped a broken image: %s could not be read or decoded.', name)

    def __repr__(self) -> str:
        return f'BrokenImages(count={self.count}, names={self.names})'
