"""The examples with float parts, each with few epochs."""

import pytest
from absl import flags

from tests.examples.scripts import imported


@pytest.mark.parametrize('name', ['keyword_spotter', 'vision_transformer'])
@pytest.mark.nightly
def test_it_trains_converts_and_compares(name, capsys):
    with imported(name) as script:
        flags.FLAGS([name, '--epochs=2'])
        script.main([name])
    printed = capsys.readouterr().out
    assert 'Evaluation(' in printed
    assert 'first difference' in printed
