import dataclasses
import json

import pytest

from tf_n2uq.layers import KernelRole


def test_without_a_decision_there_is_nobody_and_the_kernel_is_not_the_last():
    role = KernelRole()
    assert (role.input_quantizer, role.line, role.is_last) == (None, None, False)


def test_it_survives_a_config_of_plain_values():
    role = KernelRole('conv_thresholds', 'bn', is_last=True)
    assert KernelRole(**json.loads(json.dumps(dataclasses.asdict(role)))) == role


def test_a_decision_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        KernelRole().line = 'bn'  # type: ignore[misc]
