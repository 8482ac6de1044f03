from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tf_n2uq.data import IMAGENET_MEAN, IMAGENET_STD, jpeg

BASE = Image.fromarray(np.random.default_rng(7).integers(0, 256, (9, 12, 3), np.uint8))


def picture(width: int = 120, height: int = 90, mode: str = 'RGB') -> Image.Image:
    return BASE.resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, form: str = 'JPEG') -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def as_pil(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert('RGB')


@pytest.mark.parametrize(
    ('mode', 'form'),
    [
        *(('RGB', 'JPEG'), ('CMYK', 'JPEG'), ('L', 'JPEG')),
        *(('RGB', 'PNG'), ('RGBA', 'PNG'), ('P', 'PNG'), ('L', 'PNG')),
        ('RGB', 'BMP'),
    ],
)
def test_every_kind_of_image_is_decoded_as_by_pil(mode: str, form: str):
    content = encode(picture(mode=mode), form)
    assert jpeg.image_size(tf.constant(content)).numpy().tolist() == [90, 120]
    found = jpeg.decode_box(tf.constant(content), tf.constant([0, 0, 90, 120]))
    np.testing.assert_array_equal(found, np.asarray(as_pil(content)))


@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
def test_a_box_is_that_part_of_the_whole(form: str):
    content = encode(picture(), form)
    found = jpeg.decode_box(tf.constant(content), tf.constant([20, 30, 40, 50]))
    expected = np.asarray(as_pil(content))[20:60, 30:80].astype(int)
    # Colour is interpolated across the edge that the decoder cuts along.
    assert np.abs(found[:, 1:-1].numpy().astype(int) - expected[:, 1:-1]).max() <= 1


@pytest.mark.parametrize('size', [(120, 90), (40, 60), (301, 77), (333, 500)])
def test_a_box_is_resized_as_by_pil(size: tuple[int, int]):
    image = picture(*size)
    turned = jpeg.resample_box(tf.constant(np.asarray(image)), 64)
    found = jpeg.finish(turned, None, (0.0,) * 3, (1 / 255,) * 3).numpy()
    expected = np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(found - expected).max() < 1.1


@pytest.mark.parametrize('size', [(500, 375), (375, 500), (120, 90), (256, 256), (341, 257)])
@pytest.mark.parametrize('form', ['JPEG', 'PNG'])
def test_the_centre_is_that_of_resize_and_crop_in_pil(size: tuple[int, int], form: str):
    content = encode(picture(*size), form)
    turned = jpeg.decode_centre(tf.constant(content), 256, 224)
    found = jpeg.finish(turned, None, (0.0,) * 3, (1 / 255,) * 3).numpy()
    width, height = size
    short = min(size)
    resized = as_pil(content).resize(
        (256 * width // short, 256 * height // short), Image.Resampling.BILINEAR
    )
    left, top = (round((side - 224) / 2.0) for side in resized.size)
    expected = np.asarray(resized.crop((left, top, left + 224, top + 224)), np.float32)
    assert np.abs(found - expected).max() < 1.6


def test_normalising_and_mirroring_act_on_the_right_axes():
    values = np.asarray(picture(8, 8), np.float32)
    turned = tf.reshape(tf.transpose(values, [1, 2, 0]), [8, 24])
    mirrored = jpeg.finish(turned, tf.constant(True), IMAGENET_MEAN, IMAGENET_STD)
    expected = (values[:, ::-1] / 255 - IMAGENET_MEAN) / IMAGENET_STD
    np.testing.assert_allclose(mirrored, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    'content', [b'', b'text', encode(picture())[:20], encode(picture())[:-900]]
)
def test_broken_bytes_are_an_error(content: bytes):
    with pytest.raises(tf.errors.InvalidArgumentError):
        jpeg.decode_centre(tf.constant(content), 64, 64)
