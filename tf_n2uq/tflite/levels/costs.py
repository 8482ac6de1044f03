"""What XNNPACK's operators cost: picoseconds per value, on one core of an x86-64 server.

`benchmarks/xnnpack_operators.py` measures them. They decide how thresholds are computed.
"""

# A SUB of a constant per channel, and an ADD of two tensors.
SUBTRACTION, SUM = 87, 81
# A 1x1 depthwise convolution.
DEPTHWISE = 118
# A table, which is what a chain of operators on a tensor and single numbers becomes.
TABLE = 38
