import tf_keras as keras

from tf_n2uq.graph.steps import Ref, Step


def test_a_step_reads_what_stands_anywhere_in_its_arguments():
    step = Step('sum', keras.layers.Add(), ([Ref('a'), Ref('b', 1)],), {'other': Ref('c')})
    assert step.inputs == [Ref('a'), Ref('b', 1), Ref('c')]
    assert step.reads(Ref('b', 1))
    assert not step.reads(Ref('b'))


def test_a_redirected_step_reads_the_new_tensor_wherever_it_read_the_old_one():
    step = Step('sum', keras.layers.Add(), ([Ref('a'), Ref('a')],))
    step.redirect(Ref('a'), Ref('b'))
    assert step.args == ([Ref('b'), Ref('b')],)
