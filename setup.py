"""Packaging of tf_n2uq. Tool settings live in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

DATA = [
    'scikit-learn>=1.5,<2',
    'tensorflow-datasets>=4.9.9,<5',
    'importlib-resources>=6,<8',  # tensorflow-datasets imports it without asking for it
]
PYTORCH = ['torch>=2.13,<2.14']
TFLITE = ['ai-edge-litert>=2.3,<2.4']
# Published as snapshots only: these are the first and the last that the tests were run with.
MICRO = [
    'tflite-micro>=0.dev20260930204519,<=0.dev20261023182759'
    '; sys_platform == "linux" and platform_machine == "x86_64"',
]
EXAMPLES = [
    *DATA,
    *TFLITE,
    'matplotlib>=3.9,<4',
    'pyyaml>=6,<7',
    'tensorboard>=2.20,<2.22',
]
RUFF = 'ruff>=0.17,<0.18'
DOCS = [
    RUFF,  # It formats the signatures on the reference pages.
    'griffelib>=2.4.1,<2.5',
    'mkdocs>=1.6.1,<1.7',
    'mkdocs-material>=9.8.2,<9.9',
    'mkdocstrings>=1.0.8,<1.1',
    'mkdocstrings-python>=2.0.11,<2.1',
]
DEV = [
    *DOCS,
    *MICRO,
    'build>=1.2',
    'hypothesis>=6.100',
    'mypy>=1.15',
    'pillow>=11,<13',
    'pytest>=8.3',
    'pytest-timeout>=2.3',
    'pytest-xdist>=3.6',
    RUFF,
    'torch==2.13.0',
    'tree-sitter>=0.25,<0.27',
    'tree-sitter-kotlin>=1.1,<1.2',  # It checks the syntax of examples/android.
    'types-PyYAML>=6',
    'types-tqdm>=4.66',
]


def readme() -> str:
    """Returns the long description, empty where the README was not shipped."""
    path = ROOT / 'README.md'
    return path.read_text(encoding='utf-8') if path.exists() else ''


setup(
    name='tf_n2uq',
    version='0.1.0',
    description=(
        'Low-bit quantization-aware training (N2UQ) for tf.keras inside TensorFlow Model '
        'Optimization, down to an integer TFLite file.'
    ),
    long_description=readme(),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    packages=find_packages(include=['tf_n2uq', 'tf_n2uq.*']),
    package_data={'tf_n2uq': ['py.typed']},
    python_requires='>=3.10',
    install_requires=[
        'absl-py>=1.2,<2',
        'flatbuffers>=25.9,<26',
        'h5py>=3.11,<4',
        'numpy>=2.0,<3',
        # One release line: TFMOT reaches into tf_keras, and tf_keras follows TensorFlow's minor.
        'tensorflow>=2.21,<2.22',
        'tensorflow-model-optimization>=0.8.1,<0.9',
        'tf-keras>=2.21,<2.22',
        'tqdm>=4.66,<5',
    ],
    extras_require={
        'data': DATA,
        'tflite': TFLITE,
        'micro': MICRO,
        'pytorch': PYTORCH,
        'examples': EXAMPLES,
        'docs': DOCS,
        'dev': DEV,
    },
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
)
