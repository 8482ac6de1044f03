"""The record of images that could not be decoded."""

import threading

from tf_n2uq.data import BrokenImages


def test_a_new_record_is_empty():
    broken = BrokenImages()
    assert (broken.count, broken.names) == (0, ())


def test_images_are_counted_each_time_and_named_once_in_order():
    broken = BrokenImages()
    broken.add(['b.jpg', 'a.jpg'])
    broken.add(['b.jpg'])
    assert broken.count == 3
    assert broken.names == ('a.jpg', 'b.jpg')
    assert repr(broken) == "BrokenImages(count=3, names=('a.jpg', 'b.jpg'))"


def test_each_image_is_logged_the_first_time_alone(caplog):
    broken = BrokenImages()
    with caplog.at_level('WARNING', logger='absl'):
        broken.add(['a.jpg', 'b.jpg'])
        broken.add(['a.jpg'])
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        f'Skipped a broken image: {name} could not be read or decoded.'
        for name in ('a.jpg', 'b.jpg')
    ]


def test_an_emptied_record_begins_again(caplog):
    broken = BrokenImages()
    broken.add(['a.jpg'])
    broken.reset()
    assert (broken.count, broken.names) == (0, ())
    caplog.clear()
    with caplog.at_level('WARNING', logger='absl'):
        broken.add(['a.jpg'])
    assert broken.count == 1
    assert len(caplog.records) == 1


def test_threads_lose_no_count():
    broken = BrokenImages()

    def add_often():
        for _ in range(500):
            broken.add(['a.jpg', 'b.jpg'])

    threads = [threading.Thread(target=add_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert broken.count == 4000
