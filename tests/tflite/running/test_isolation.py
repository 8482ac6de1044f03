import sys

import pytest

from tf_n2uq.tflite.running import isolation
from tf_n2uq.tflite.running.isolation import run_isolated


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Writes a script beside which the module then believes to be."""
    monkeypatch.setattr(isolation, '__file__', str(tmp_path / 'isolation.py'))

    def write(text):
        (tmp_path / 'script.py').write_text(text)
        return 'script.py'

    return write


def test_the_script_gets_the_bytes_and_its_last_line_is_returned(script):
    name = script('import sys\nprint("first")\nprint(sys.stdin.buffer.read()[::-1])')
    assert run_isolated(name, b'\x00abc', 'the reader', 60) == r"b'cba\x00'"


def test_the_script_imports_from_where_this_process_does(script, tmp_path, monkeypatch):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'found_only_there.py').write_text('NUMBER = 7')
    monkeypatch.setattr(sys, 'path', [*sys.path, str(tmp_path / 'elsewhere')])
    name = script('import found_only_there\nprint(found_only_there.NUMBER)')
    assert run_isolated(name, b'', 'the reader', 60) == '7'


def test_an_error_repeats_the_beginning_and_the_end_of_what_the_script_said(script):
    name = script(
        'import sys\nfor n in range(9): print("line", n, file=sys.stderr)\nsys.exit("the end")'
    )
    with pytest.raises(ValueError) as caught:
        run_isolated(name, b'', 'the reader', 60)
    said = str(caught.value)
    assert 'that the reader can prepare' in said
    assert said.endswith('ended with 1: line 0 line 1 line 2 the end')


@pytest.mark.parametrize(('ending', 'code'), [('os._exit(3)', 3), ('os.abort()', -6)])
def test_a_process_that_ends_itself_without_a_word_is_an_error_too(script, ending, code):
    name = script(f'import os\n{ending}')
    with pytest.raises(ValueError, match=f'ended with {code}: no message'):
        run_isolated(name, b'', 'the reader', 60)


def test_a_script_that_takes_too_long_is_ended(script):
    name = script('import time\ntime.sleep(60)')
    with pytest.raises(ValueError, match='over 1 s'):
        run_isolated(name, b'', 'the reader', 1)
