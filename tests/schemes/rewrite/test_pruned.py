"""Models that TFMOT has pruned or clustered, and kernels of zeros."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import QuantizedKernel

_layers = keras.layers
_SPARSITY, _CLUSTERING = tfmot.sparsity.keras, tfmot.clustering.keras


def network():
    keras.utils.set_random_seed(2)
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(6, 3, padding='same', activation='relu', name='first')(image)
    x = _layers.Conv2D(6, 3, padding='same', name='middle')(x)
    x = _layers.ReLU()(_layers.BatchNormalization()(x))
    x = _layers.DepthwiseConv2D(3, name='deep')(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4, name='head')(x))


def pruned():
    schedule = _SPARSITY.ConstantSparsity(0.5, 0, frequency=1)
    model = _SPARSITY.prune_low_magnitude(network(), pruning_schedule=schedule)
    model.compile('sgd', 'mse')
    callbacks = [_SPARSITY.UpdatePruningStep()]
    model.fit(images(), np.zeros((16, 4)), epochs=2, callbacks=callbacks, verbose=0)
    return model


def clustered():
    initialization = _CLUSTERING.CentroidInitialization.LINEAR
    return _CLUSTERING.cluster_weights(
        network(), number_of_clusters=4, cluster_centroids_init=initialization
    )


def images():
    return np.random.default_rng(0).random((16, 8, 8, 3)).astype(np.float32)


def quantized(model, scheme):
    apply = tfmot.quantization.keras.quantize_apply
    found = apply(tf_n2uq.annotate(model), scheme=scheme)
    tf_n2uq.calibrate(found, images(), verbose=0)
    return found


def kernel_of(model, name):
    (layer,) = (
        layer
        for layer in model.layers
        if isinstance(layer, QuantizedKernel) and layer.layer.name == name
    )
    (kernel,) = layer.quantized_kernels().values()
    return kernel.numpy()


def agrees(model):
    content = tf_n2uq.tflite.convert(model)
    return tf_n2uq.tflite.compare(model, content, images()).first_xnnpack is None


def test_a_pruned_model_is_quantized_and_its_zeros_are_told_of_where_they_go(caplog):
    model = _SPARSITY.strip_pruning(pruned())
    assert np.mean(model.get_layer('middle').get_weights()[0] == 0) == 0.5
    with caplog.at_level('WARNING', logger='absl'):
        kept = quantized(model, tf_n2uq.LSQScheme(2))
    assert 'level 0' not in caplog.text
    zeros = model.get_layer('middle').get_weights()[0] == 0
    assert not kernel_of(kept, 'middle')[zeros].any()
    with caplog.at_level('WARNING', logger='absl'):
        lost = quantized(model, tf_n2uq.N2UQScheme(2))
    # The depthwise kernel is not pruned, and the ends have 8 bits.
    assert caplog.text.count('level 0 (') == 1
    assert '1 of 4 quantized kernels are pruned' in caplog.text
    assert "50 % of the weights of 'middle' are zeros" in caplog.text
    assert kernel_of(lost, 'middle')[zeros].all()
    assert agrees(kept)
    assert agrees(lost)


def test_the_lowest_bits_of_several_are_told_of(caplog):
    model = _SPARSITY.strip_pruning(pruned())
    with caplog.at_level('WARNING', logger='absl'):
        tfmot.quantization.keras.quantize_apply(
            tf_n2uq.annotate(model), scheme=tf_n2uq.AdaBitsScheme((8, 4), method='pact')
        )
    assert 'their method has no level 0' in caplog.text


def test_channels_that_stay_zero_are_no_reason_to_warn(caplog):
    model = network()
    kernel, bias = model.get_layer('middle').get_weights()
    model.get_layer('middle').set_weights([kernel * [0, 0, 0, 1, 1, 1], bias])
    with caplog.at_level('WARNING', logger='absl'):
        found = quantized(model, tf_n2uq.N2UQScheme(2))
    assert 'level 0' not in caplog.text
    assert not kernel_of(found, 'middle')[..., :3].any()
    assert agrees(found)


@pytest.mark.parametrize(
    'scheme',
    [
        tf_n2uq.N2UQScheme(2),
        tf_n2uq.LSQScheme(2),
        tf_n2uq.LSQPlusScheme(2),
        tf_n2uq.DoReFaScheme(2),
        tf_n2uq.PACTScheme(2),
        tf_n2uq.SATScheme(2, levels='centered_symmetric'),
    ],
    ids=lambda scheme: type(scheme).__name__,
)
def test_a_kernel_of_zeros_stays_one(scheme):
    model = network()
    layer = model.get_layer('middle')
    layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
    found = quantized(model, scheme)
    assert not kernel_of(found, 'middle').any()
    assert np.isfinite(found.predict(images(), verbose=0)).all()
    assert agrees(found)


def test_a_kernel_of_zeros_can_still_learn():
    kernel = tf.Variable(tf.zeros([3, 3, 2, 4]))
    quantizer = tf_n2uq.quantizers.DoReFaQuantizer(2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(quantizer(kernel, True))
    assert np.all(tape.gradient(loss, kernel).numpy() > 0)


@pytest.mark.parametrize(
    ('make', 'scope', 'words'),
    [
        (pruned, _SPARSITY.prune_scope, r"'prune_low_magnitude_first'.*strip_pruning\(model\)"),
        (clustered, _CLUSTERING.cluster_scope, r"'cluster_first'.*strip_clustering\(model\)"),
    ],
    ids=['pruned', 'clustered'],
)
def test_wrappers_that_are_still_there_are_refused_by_name(make, scope, words):
    model = make()
    with pytest.raises(ValueError, match=words):
        tf_n2uq.annotate(model)
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    with scope(), pytest.raises(ValueError, match=words):
        tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(2))


def test_a_clustered_model_is_quantized_like_any_other():
    assert agrees(quantized(_CLUSTERING.strip_clustering(clustered()), tf_n2uq.N2UQScheme(2)))
