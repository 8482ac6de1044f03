"""The interface of schemes that the rewrite uses; `test_assignment.py` has a foreign one."""

from __future__ import annotations

import inspect

import tf_n2uq


def test_every_scheme_has_it_and_a_config_has_not():
    assert isinstance(tf_n2uq.LSQScheme(2), tf_n2uq.BitPolicy)
    assert isinstance(tf_n2uq.AdaBitsScheme((4, 2), method='lsq'), tf_n2uq.BitPolicy)
    assert not isinstance(tf_n2uq.LSQQuantizeConfig(2), tf_n2uq.BitPolicy)


def test_configs_are_made_from_the_same_arguments():
    asked = inspect.signature(tf_n2uq.BitPolicy.make_config)
    for method in tf_n2uq.methods():
        found = inspect.signature(method.scheme.make_config)
        assert list(found.parameters) == list(asked.parameters)
