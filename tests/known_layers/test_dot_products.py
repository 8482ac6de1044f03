from tf_n2uq.layers import DotProductAttention
from tf_n2uq.layers.layer_spec import kind_of, refusal_of


def test_products_have_no_integer_form_and_say_what_to_do():
    layer = DotProductAttention(2)
    assert kind_of(layer) is None
    assert 'expected allow_float=True' in refusal_of(layer)
