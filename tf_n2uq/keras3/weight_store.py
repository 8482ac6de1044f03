"""The weights of a Keras 3 model, by the objects that own them.

Keras 3 writes the variables of each object into a group of its own, in the order in which the
object has them, and the objects inside of it under the names of the attributes that hold them. The
layers of a network are in a group `layers`, by their classes' names and a count. `LiveWeights`
looks into a model in memory in the same way, so that all else needs no second way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import h5py
import numpy as np

from tf_n2uq.keras3.entry import Entry


class WeightStore(Protocol):
    """The weights of one object.

    Attributes:
        identity: the same for one and the same object, wherever it stands in a model.
    """

    identity: Any

    def own(self) -> dict[str, np.ndarray]:
        """Returns the object's own variables: `{'0': array, '1': …}`, without those inside."""

    def inner(self, attribute: str) -> WeightStore | None:
        """Returns the weights of the object in an attribute, None if there are none."""

    def cells(self, class_names: Sequence[str]) -> Iterator[WeightStore]:
        """Yields the weights of the objects in the list `cells`.

        Args:
            class_names: the names of their classes, in order.
        """

    def layers(self, entries: Sequence[Entry]) -> Iterator[WeightStore]:
        """Yields the weights of the layers of a network.

        Args:
            entries: the layers and operations in the network's config.
        """


class LiveWeights:
    """The weights of a layer or model of Keras 3 in memory, on any backend."""

    def __init__(self, owner: Any) -> None:
        """Takes the layer or model of Keras 3."""
        self.owner, self.identity = owner, id(owner)

    def own(self) -> dict[str, np.ndarray]:
        store: dict[str, Any] = {}
        self.owner.save_own_variables(store)
        arrays = {key: array_of(value) for key, value in store.items()}
        if type(self.owner).__name__ == 'Normalization' and arrays:
            # It computes with copies of its variables, made when it has adapted or was loaded.
            for key, name in (('0', 'mean'), ('1', 'variance')):
                arrays[key] = array_of(getattr(self.owner, name)).reshape(arrays[key].shape)
        return arrays

    def inner(self, attribute: str) -> WeightStore | None:
        found = getattr(self.owner, attribute, None)
        return LiveWeights(found) if hasattr(found, 'save_own_variables') else None

    def cells(self, class_names: Sequence[str]) -> Iterator[WeightStore]:
        del class_names
        yield from map(LiveWeights, self.owner.cells)

    def layers(self, entries: Sequence[Entry]) -> Iterator[WeightStore]:
        by_name = {layer.name: layer for layer in self.owner.layers}
        for entry in entries:
            # A Sequential model hides its input, which has no weights.
            yield LiveWeights(by_name.get(entry.name, _NO_LAYER))


class _NoLayer:
    def save_own_variables(self, store: dict[str, Any]) -> None:
        del store


_NO_LAYER = _NoLayer()


class StoredWeights:
    """The weights of an object in an HDF5 file of Keras 3."""

    def __init__(self, group: h5py.Group | None) -> None:
        """Takes a group of a file that has been checked, None for an object without any."""
        self._group = group
        self.identity = None if group is None else group.name

    def own(self) -> dict[str, np.ndarray]:
        variables = {} if self._group is None else self._group.get('vars', {})
        return {key: value[()] for key, value in variables.items()}

    def inner(self, attribute: str) -> WeightStore | None:
        group = None if self._group is None else self._group.get(attribute)
        return StoredWeights(group) if isinstance(group, h5py.Group) else None

    def layers(self, entries: Sequence[Entry]) -> Iterator[WeightStore]:
        names = [None if entry.is_operation else entry.class_name for entry in entries]
        yield from map(StoredWeights, self._items('layers', names))

    def cells(self, class_names: Sequence[str]) -> Iterator[WeightStore]:
        yield from map(StoredWeights, self._items('cells', class_names))

    def _items(self, attribute: str, class_names: Sequence[str | None]) -> Iterator[Any]:
        group = {} if self._group is None else self._group.get(attribute, {})
        used: dict[str, int] = {}
        for class_name in class_names:
            name = '' if class_name is None else _snake_case(class_name)
            count = used[name] = used.get(name, -1) + 1
            yield group.get(f'{name}_{count}' if count else name) if name else None


def _snake_case(name: str) -> str:
    """Returns a class name as Keras 3 writes it in files."""
    name = re.sub(r'\W+', '', name)
    name = re.sub('(.)([A-Z][a-z]+)', r'\1_\2', name)
    return re.sub('([a-z])([A-Z])', r'\1_\2', name).lower()


def array_of(value: Any) -> np.ndarray:
    """Returns a variable or a tensor of any backend as an array."""
    value = getattr(value, 'value', value)
    if hasattr(value, 'detach'):  # PyTorch, whose tensors may need a gradient
        value = value.detach().cpu()
        return value.float().numpy() if str(value.dtype) == 'torch.bfloat16' else value.numpy()
    return np.asarray(value)


# Where tf_keras calls the attribute of an inner layer by another name than Keras 3.
_OTHER_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    **{
        f'_{role}_dense': (f'{role}_dense', f'_{role}_dense')
        for role in ('query', 'key', 'value', 'output')
    },
}
_INNER = ('layer', 'forward_layer', 'backward_layer', 'cell', *_OTHER_ATTRIBUTES)


def inner_layers(layer: Any, store: WeightStore) -> Iterator[tuple[Any, WeightStore]]:
    """Yields the layers inside of a layer of tf_keras that is no model, with their weights.

    Args:
        layer: a built layer of tf_keras.
        store: the weights of its counterpart in Keras 3.
    """
    is_bidirectional = hasattr(layer, 'forward_layer')
    for attribute in _INNER:
        inner = vars(layer).get(attribute)
        # A `Bidirectional` keeps the layer that it was made of, which has no part in it.
        if inner is None or (is_bidirectional and attribute == 'layer'):
            continue
        names = _OTHER_ATTRIBUTES.get(attribute, (attribute,))
        found = [each for each in map(store.inner, names) if each is not None]
        yield inner, found[0] if found else StoredWeights(None)
    cells = list(vars(layer).get('cells') or ())
    if cells:
        class_names = [type(cell).__name__ for cell in cells]
        yield from zip(cells, store.cells(class_names), strict=True)
