import pytest
import tf_keras as keras

from tf_n2uq.keras3 import translation
from tf_n2uq.keras3.agreement import CannotRunError
from tf_n2uq.keras3.entry import Entry, TranslationError
from tf_n2uq.keras3.named_classes import checked
from tf_n2uq.keras3.operation_call import known_operations, register_operation, rule_of
from tf_n2uq.keras3.operation_graph import Spec
from tf_n2uq.keras3.translation import Translation, Translator, register_translation
from tf_n2uq.untrusted.refusal import RefusedError


def dense(**config):
    return Entry.of(
        {'class_name': 'Dense', 'module': 'keras.layers', 'config': {'name': 'd', **config}}
    )


def test_a_class_is_registered_once():
    assert {'Dense', 'Conv2D', 'LSTM'} <= set(translation.translated_classes())
    with pytest.raises(ValueError, match="'Dense'; change its entry"):
        register_translation('Dense', Translation(keras.layers.Dense))


def test_options_of_one_side_are_dropped_at_their_default_only():
    translator = Translator({})
    assert translator.layer(dense(units=2, lora_rank=None, quantization_config=None)).units == 2
    with pytest.raises(TranslationError, match="'d' .Dense.*lora_rank=3.*lora_rank=None"):
        translator.layer(dense(units=2, lora_rank=3))
    with pytest.raises(TranslationError, match="dtype policy 'int8_from_float32'"):
        translator.layer(dense(units=2, dtype='int8_from_float32'))


def test_a_layer_of_the_callers_own_takes_the_place_of_a_class():
    class Mine(keras.layers.Dense):
        pass

    assert type(Translator({'Dense': Mine}).layer(dense(units=2))) is Mine


def test_operations_have_names_and_rules():
    assert {'Add', 'Relu6', 'GetItem'} <= set(known_operations())
    register_operation('OnlyHere', 'x y', lambda call: call['x'])
    operation = Entry.of({'class_name': 'OnlyHere', 'module': 'keras.src.ops.nn', 'config': {}})
    assert rule_of(operation)[0] == ('x', 'y')
    assert operation.is_operation
    assert Spec((None, 2, 3, 4)).placeholder(True).shape == (None, 3, 4, 2)


def test_a_file_names_what_is_known_and_no_initializer_is_read():
    config = {'class_name': 'Dense', 'module': 'keras.layers', 'config': {}, 'compile_config': 1}
    config['config'] = {'kernel_initializer': {'class_name': 'X', 'module': 'os', 'config': {}}}
    assert checked(config, ()) == {
        'class_name': 'Dense',
        'module': 'keras.layers',
        'config': {'kernel_initializer': 'zeros'},
    }
    with pytest.raises(RefusedError, match="class 'Dense' of the module 'os'"):
        checked({**config, 'module': 'os'}, ())
    assert issubclass(CannotRunError, RuntimeError)
