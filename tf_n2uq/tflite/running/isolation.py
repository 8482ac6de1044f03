"""Runs an interpreter on a file in a process of its own: a forged file may end that one."""

import os
import pathlib
import subprocess
import sys

# How many of the first lines of what the process said an error repeats, beside the last one: an
# interpreter names the operator first, Python what it made of that last.
_MOST_SAID = 3


def run_isolated(script: str, content: bytes, reader: str, timeout: int) -> str:
    """Gives a file to a script beside this module, on its standard input.

    Args:
        script: The script's name.
        content: The file's bytes; they need not be trusted.
        reader: Who prepares the file there, for errors: 'the interpreter'.
        timeout: After how many seconds to end it.

    Returns:
        The last line that it prints.

    Raises:
        ValueError: It failed, or took longer.
    """
    must = f'`content` must be a TFLite file that {reader} can prepare'
    try:
        run = subprocess.run(
            [sys.executable, str(pathlib.Path(__file__).with_name(script))],
            input=bytes(content),
            env={**os.environ, 'PYTHONPATH': os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f'{must}; trying took over {timeout} s.') from error
    if run.returncode != 0:
        lines = run.stderr.decode(errors='replace').splitlines()
        said = [line.strip() for line in lines if line.strip()]
        said = said if len(said) <= _MOST_SAID else [*said[:_MOST_SAID], said[-1]]
        raise ValueError(
            f'{must}; its process ended with {run.returncode}: {" ".join(said) or "no message"}'
        )
    return run.stdout.decode().splitlines()[-1]
