"""What has to happen before TensorFlow is imported."""

from __future__ import annotations

import os
import sys

# While Python looks for the program of `python -m tf_n2uq.tflite`, it imports this package, and the
# first argument is '-m' (documentation of `python -m`). In every other program, the messages of
# TensorFlow are the program's own business.
if sys.argv[:1] == ['-m']:
    # Notices and warnings are left out, and errors are shown.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
