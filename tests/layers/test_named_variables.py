import numpy as np
import tf_keras as keras

from tests.networks import images_for, quantized_network


def test_variables_have_the_names_of_their_layers_after_loading(tmp_path):
    model = quantized_network('batch_normalized')
    model.save(tmp_path / 'model.keras')
    loaded = keras.models.load_model(tmp_path / 'model.keras')
    assert [each.name for each in loaded.variables] == [each.name for each in model.variables]


def test_a_compiled_model_that_was_loaded_is_saved_in_the_other_format(tmp_path):
    model = quantized_network('batch_normalized')
    images = images_for(model)
    model.compile('adam', 'mse')
    model.fit(images, np.zeros((len(images), *model.output_shape[1:])), verbose=0)
    model.save(tmp_path / 'model.keras')
    keras.models.load_model(tmp_path / 'model.keras').save(tmp_path / 'model.h5')
    loaded = keras.models.load_model(tmp_path / 'model.h5')
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    for own, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(own, other)
