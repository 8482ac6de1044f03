import importlib
import os

import pytest

from tf_n2uq._compat import start_up

LEVEL = 'TF_CPP_MIN_LOG_LEVEL'


@pytest.mark.parametrize(
    ('first', 'before', 'after'),
    [('-m', None, '2'), ('-m', '0', '0'), ('-c', None, None), ('train.py', None, None)],
)
def test_only_the_programs_of_the_package_silence_notices(monkeypatch, first, before, after):
    monkeypatch.setattr('sys.argv', [first])
    # The variable is registered first, so that the end of the test puts back what was there.
    monkeypatch.setenv(LEVEL, before or '')
    if before is None:
        del os.environ[LEVEL]
    importlib.reload(start_up)
    assert os.environ.get(LEVEL) == after
