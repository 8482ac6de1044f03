import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.graph import Graph
from tf_n2uq.graph.masks import check_no_masks

layers = keras.layers


def words(mask_zero, *behind):
    x = keras.Input((6,), dtype='int32')
    y = layers.Embedding(9, 4, mask_zero=mask_zero, name='words')(x)
    for layer in behind:
        y = layer(y)
    return keras.Model(x, y)


def test_a_mask_that_a_layer_reads_is_refused_by_both_names():
    model = words(True, layers.Dropout(0.1), layers.LSTM(3, name='memory'))
    with pytest.raises(ValueError, match="layer 'words' makes and layer 'memory' reads"):
        check_no_masks(Graph.from_model(model), {'memory'})


def test_a_mask_of_a_masking_layer_is_refused():
    series = keras.Input((6, 4))
    y = layers.GRU(3, name='memory')(layers.Masking(name='hides')(series))
    with pytest.raises(ValueError, match="layer 'hides' makes and layer 'memory' reads"):
        check_no_masks(Graph.from_model(keras.Model(series, y)), {'memory'})


def test_masks_that_end_in_front_of_a_layer_are_taken():
    without = words(False, layers.LSTM(3, name='memory'))
    flat = words(True, layers.Flatten(), layers.Dense(3, name='memory'))
    for model in (without, flat):
        check_no_masks(Graph.from_model(model), {'memory'})


def test_annotate_refuses_masks_for_quantized_layers():
    with pytest.raises(ValueError, match="layer 'words' makes and layer 'dense' reads"):
        tf_n2uq.annotate(words(True, layers.Dense(3, name='dense')))


def test_convert_refuses_masks_for_float_layers():
    model = words(True, layers.LSTM(3, name='memory'), layers.Dense(4), layers.Dense(3))
    result = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(model), scheme=tf_n2uq.N2UQScheme(bits=2)
    )
    with pytest.raises(ValueError, match="layer 'words' makes and layer 'memory' reads"):
        tf_n2uq.tflite.convert(result, allow_float=True)
