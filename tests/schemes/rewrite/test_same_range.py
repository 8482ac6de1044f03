"""The offsets that RPReLUs get, on the kinds of networks that have RPReLUs."""

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import RPReLU

layers = keras.layers


def quantized(build, bits=2):
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, build(image))
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    return tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits=bits))


def conv(name, filters=4, **options):
    return layers.Conv2D(filters, 3, padding='same', name=name, **options)


def block(x, name):
    """A residual block as in N2UQ's ResNets: the RPReLU behind the sum is the next shortcut."""
    y = RPReLU(name=f'{name}_in')(x)
    y = layers.BatchNormalization(name=f'{name}_bn')(conv(f'{name}_conv', use_bias=False)(y))
    x = layers.Add(name=f'{name}_add')([y, x])
    return RPReLU(name=f'{name}_out')(x)


def residual(image):
    x = conv('stem')(image)
    x = block(block(block(x, 'a'), 'b'), 'c')
    return layers.Dense(3)(layers.GlobalAveragePooling2D()(x))


def offsets(model):
    return {layer.name: layer.offset for layer in model.layers if getattr(layer, 'offset', None)}


def test_the_kernel_in_front_adds_the_biases_of_an_rprelu():
    model = quantized(lambda image: conv('last')(RPReLU(name='rprelu')(conv('first')(image))))
    assert offsets(model) == {'first_range': {'rprelu': 1}}
    assert model.get_layer('rprelu').same_range


def test_sums_pass_offsets_on_to_a_kernel_whose_output_they_alone_read():
    model = quantized(residual)
    assert offsets(model) == {
        'stem_range': {'a_in': 1},
        'a_bn_range': {'a_out': 1, 'b_in': 1, 'a_in': -1},
        'a_add_range': {'a_out': 1, 'b_in': 1},
        'a_out': {'b_in': 1},
        'b_bn_range': {'b_out': 1, 'c_in': 1, 'b_in': -1},
        'b_add_range': {'b_out': 1, 'c_in': 1},
        'b_out': {'c_in': 1},
        'c_bn_range': {'c_out': 1, 'c_in': -1},
        'c_add_range': {'c_out': 1},
    }


def test_the_offset_of_a_sum_is_the_sum_of_the_offsets_of_its_terms():
    model = quantized(residual)
    of = offsets(model)
    for total, terms in (
        ('a_add_range', ('a_bn_range', 'stem_range')),
        ('b_add_range', ('b_bn_range', 'a_out')),
        ('c_add_range', ('c_bn_range', 'b_out')),
    ):
        summed = {}  # type: ignore[var-annotated]
        for term in terms:
            for name, factor in of.get(term, {}).items():
                summed[name] = summed.get(name, 0) + factor
        assert {name: count for name, count in summed.items() if count} == of[total]


def test_a_tensor_that_others_read_as_it_is_has_no_offset():
    def network(image):
        x = conv('first')(image)
        return layers.Add()([conv('left')(RPReLU(name='one')(x)), conv('right')(x)])

    assert offsets(quantized(network)) == {}


def test_two_rprelus_that_want_different_offsets_get_none():
    def network(image):
        x = conv('first')(image)
        return layers.Add()(
            [conv('left')(RPReLU(name='one')(x)), conv('right')(RPReLU(name='two')(x))]
        )

    model = quantized(network)
    assert offsets(model) == {}
    assert model.get_layer('one').same_range


def test_a_relu_in_front_of_an_rprelu_leaves_it_without_an_offset():
    model = quantized(
        lambda image: conv('last')(RPReLU(name='rprelu')(layers.ReLU()(conv('first')(image))))
    )
    assert offsets(model) == {}


def test_an_output_of_the_model_has_no_offset():
    model = quantized(lambda image: RPReLU(name='rprelu')(conv('first')(image)))
    assert offsets(model) == {'first_range': {'rprelu': 1}}


def test_an_rprelu_behind_a_function_that_is_a_part_of_thresholds_stays_one_too():
    model = quantized(
        lambda image: conv('last')(
            RPReLU(name='rprelu')(layers.Activation('elu')(conv('first')(image)))
        )
    )
    assert not model.get_layer('rprelu').same_range
    assert offsets(model) == {}


def test_training_reaches_the_biases_and_slopes():
    model = quantized(residual)
    tf_n2uq.calibrate(model, np.random.default_rng(0).normal(size=(16, 8, 8, 4)), verbose=0)
    model.compile('sgd', 'mse')
    before = [np.copy(weight) for weight in model.get_layer('b_out').weights]
    images = np.random.default_rng(1).normal(size=(16, 8, 8, 4)).astype(np.float32)
    model.fit(images, np.ones((16, 3), np.float32), verbose=0)
    for old, new in zip(before, model.get_layer('b_out').weights, strict=True):
        assert np.all(old != new.numpy())
