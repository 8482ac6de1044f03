"""The private names of other packages that this package needs, each behind a public one.

A private name may change or go with any release of its package. It stands here and nowhere else,
with the reason why it is needed and the public name that replaces it once there is one. A new
release of TensorFlow, tf_keras or TFMOT is therefore adapted to in this folder alone.
"""
