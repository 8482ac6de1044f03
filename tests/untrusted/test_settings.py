import pytest

from tf_n2uq.untrusted.refusal import RefusedError
from tf_n2uq.untrusted.settings import check_settings


@pytest.mark.parametrize('setting', ['stateful', 'unroll'])
def test_a_costly_recurrent_layer_is_refused_by_its_name(setting):
    check_settings('LSTM', {setting: False})
    with pytest.raises(RefusedError, match=f"the class 'LSTM' with {setting}=True"):
        check_settings('LSTM', {setting: True})
