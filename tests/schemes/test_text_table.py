from tf_n2uq.schemes.text_table import format_table, shortened, titled


def test_columns_are_as_wide_as_their_widest_cell():
    lines = format_table(('name', 'size'), [('a', '1'), ('longer', '1,000')], right=['size'])
    assert lines == [
        'name     size',
        '------  -----',
        'a           1',
        'longer  1,000',
    ]


def test_a_table_may_have_no_rows():
    assert format_table(('name', 'size'), []) == ['name  size', '----  ----']


def test_long_values_go_on_below_their_title():
    first, second = titled('words', 'word ' * 30)
    assert first.startswith('words          word')
    assert second.startswith(' ' * 15 + 'word')
    assert max(len(first), len(second)) <= 100


def test_names_keep_their_ends():
    assert shortened('block_1_conv_2', 20) == 'block_1_conv_2'
    assert shortened('block_1_conv_2', 7) == '…conv_2'
