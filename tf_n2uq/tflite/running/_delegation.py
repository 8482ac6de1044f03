"""A script that prints which operators of a TFLite file XNNPACK computes, as JSON.

The script reads the file from standard input. It imports nothing of this package, so that it starts
without TensorFlow where LiteRT is installed.
"""

import json
import sys
from typing import Any

try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tensorflow import lite

    Interpreter = lite.Interpreter


def count(content: bytes) -> dict[str, Any]:
    """Counts the partitions and operators of a file.

    Args:
        content: The bytes of a file.

    Returns:
        'partitions': the number of XNNPACK partitions. 'inside': the numbers of the operators
        inside of them, ascending. 'operators': the number of operators of the file.
    """
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    # One DELEGATE per partition follows the operators of the file. It has the inputs and outputs of
    # its partition.
    nodes = interpreter._get_ops_details()
    partitions = [node for node in nodes if node['op_name'] == 'DELEGATE']
    makers = {}
    for node in nodes:
        if node['op_name'] != 'DELEGATE':
            makers.update({int(tensor): node for tensor in node['outputs']})
    inside: set[int] = set()
    for partition in partitions:
        ends = {int(tensor) for tensor in partition['inputs']}
        pending = [int(tensor) for tensor in partition['outputs']]
        while pending:
            tensor = pending.pop()
            node = makers.get(tensor)
            if tensor in ends or node is None or node['index'] in inside:
                continue
            inside.add(node['index'])
            pending.extend(int(source) for source in node['inputs'])
    return {
        'partitions': len(partitions),
        'inside': sorted(int(index) for index in inside),
        'operators': len(nodes) - len(partitions),
    }


if __name__ == '__main__':
    print(json.dumps(count(sys.stdin.buffer.read())))
