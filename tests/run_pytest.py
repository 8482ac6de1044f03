"""The main program of Bazel's tests: runs pytest on the files that it is given."""

import sys

import pytest

if __name__ == '__main__':
    sys.exit(pytest.main(['--import-mode=importlib', '-p', 'no:cacheprovider', *sys.argv[1:]]))
