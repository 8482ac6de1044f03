from tf_n2uq.untrusted.refusal import RefusedError


def test_the_message_is_one_sentence_that_names_the_way_out():
    error = RefusedError("the class 'X'", 'X')
    assert error.message('model', 'a.keras') == (
        "model: expected a model of known, harmless layers and their weights, got 'a.keras', "
        "which holds the class 'X'; if you trust the file, pass custom_objects={'X': …} with your "
        'class or function, or load it with keras.models.load_model and use that model.'
    )


def test_what_is_no_class_cannot_be_passed():
    message = RefusedError('a link').message('path', 'b.h5')
    assert message.endswith(
        "got 'b.h5', which holds a link; if you trust the file, load it with "
        'keras.models.load_model and use that model.'
    )


def test_the_message_names_the_function_that_loads_such_a_file():
    message = RefusedError('a link').message('model', 'b.keras', 'keras.saving.load_model')
    assert message.endswith('load it with keras.saving.load_model and use that model.')
