"""Scripts in a process of their own, so that a forged file cannot end the process of the caller."""

import os
import pathlib
import subprocess
import sys

# An error repeats the first lines that the process wrote, so many of them, and the last one. The
# first lines are those of the interpreter, which names the operator. The last line is Python's.
_FIRST_LINES = 3


def run_isolated(script: str, content: bytes, reader: str, timeout: int) -> str:
    """Gives a file to a script beside this module, on its standard input.

    Args:
        script: The name of the script.
        content: The bytes of the file. They need not be trusted.
        reader: The program that prepares the file, as errors call it, such as 'the interpreter'.
        timeout: The seconds after which the process is ended.

    Returns:
        The last line that the script prints.

    Raises:
        ValueError: If the script fails, or takes longer than `timeout`.
    """
    expected = f'content: expected a TFLite file that {reader} can prepare'
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
        raise ValueError(
            f'{expected}, got one that takes over {timeout} s. Check where the file is from.'
        ) from error
    if run.returncode != 0:
        lines = run.stderr.decode(errors='replace').splitlines()
        said = [line.strip() for line in lines if line.strip()]
        said = said if len(said) <= _FIRST_LINES else [*said[:_FIRST_LINES], said[-1]]
        raise ValueError(
            f'{expected}, got one whose process ended with {run.returncode}: '
            f'{" ".join(said) or "no message"}'
        )
    return run.stdout.decode().splitlines()[-1]
