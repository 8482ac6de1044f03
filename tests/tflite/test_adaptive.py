"""A file for each bit-width of one model."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq.tflite.__main__ import main
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.verify import check_integer_only

# Keras adds up in floats: of a hundred numbers one may round to the other side.
FEW = 0.02


def adaptive(name, bits, **arguments):
    scheme = tf_n2uq.AdaBitsScheme(bits, **arguments)
    model = tfmot.quantization.keras.quantize_apply(annotate(float_network(name)), scheme=scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


@pytest.mark.parametrize(
    ('name', 'bits', 'arguments'),
    [
        ('batch_normalized', (8, 4, 2), {}),
        ('rectified', (8, 3), {'method': 'n2uq'}),
        ('several_readers', (8, 5), {'method': 'lsq'}),
        ('residual', (6, 2), {'weight_only': True, 'shared_affine': True}),
    ],
)
def test_each_file_computes_what_keras_does_at_its_bit_width(name, bits, arguments):
    model = adaptive(name, bits, **arguments)
    images = images_for(model, 4)
    for width in bits:
        tf_n2uq.set_bits(model, width)
        content = tf_n2uq.tflite.convert(model, bits=width, optimize_for='size')
        check_integer_only(flatbuffer.read(content))
        report = tf_n2uq.tflite.compare(model, content, images)
        assert report.not_compared == ()
        levels = [each for each in report.quantizers if each.levels < 256]
        assert all(each.xnnpack_share < FEW for each in levels)
        assert bool(levels) == (width < 8 and not arguments.get('weight_only'))
        assert report.xnnpack.mean_difference < 0.5
        types = {layer.kernel_type for layer in tf_n2uq.tflite.inspect(content).layers}
        assert types == {'INT8'} or width < 8


def test_the_active_bit_width_does_not_choose_the_file():
    model = adaptive('dense_only', (8, 2))
    tf_n2uq.set_bits(model, 8)
    first = tf_n2uq.tflite.convert(model, bits=2)
    tf_n2uq.set_bits(model, 2)
    assert tf_n2uq.tflite.convert(model, bits=2) == first
    assert tf_n2uq.tflite.convert(model, bits=8) != first


def test_bits_go_with_adaptive_models_only():
    model = adaptive('dense_only', (8, 2))
    with pytest.raises(ValueError, match='bits: expected one of 8, 2, .* got None'):
        tf_n2uq.tflite.convert(model)
    with pytest.raises(ValueError, match='which are 8, 2; got 4'):
        tf_n2uq.tflite.convert(model, bits=4)
    single = tf_n2uq.extract(model, 2)
    with pytest.raises(ValueError, match='bits: expected None, .* one bit-width only, got 2'):
        tf_n2uq.tflite.convert(single, bits=2)


def test_the_command_takes_a_bit_width(tmp_path, capsys):
    model = adaptive('dense_only', (8, 2))
    keras_file, file, images = (str(tmp_path / name) for name in ('a.keras', 'a.tflite', 'i.npy'))
    model.save(keras_file)
    np.save(images, images_for(model, 4))
    assert main(['convert', keras_file, '--out', file]) == 1
    assert 'bits: expected one of 8, 2' in capsys.readouterr().err
    assert main(['convert', keras_file, '--out', file, '--bits', '2']) == 0
    assert main(['compare', keras_file, file, images, '--bits', '2']) == 0
