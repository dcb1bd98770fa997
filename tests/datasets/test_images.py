"""PNG spectrograms: time first, the lowest frequency first, grey values exact, bad files refused."""

from __future__ import annotations

import numpy as np
import pytest

from earmark.audio.images import image_hash, read_image, write_image
from earmark.errors import AudioError, StorageError


def test_written_images_read_back_exactly(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (50, 16)).astype(np.float32)
    write_image(tmp_path / "a.png", picture)
    read = read_image(tmp_path / "a.png")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, picture)


def test_the_bottom_of_the_picture_is_the_lowest_frequency(tmp_path):
    """Checked by another decoder's idea of rows: the last row of the picture is band 0."""
    import av

    picture = np.zeros((4, 3))
    picture[:, 0] = [10, 20, 30, 40]
    write_image(tmp_path / "a.png", picture)
    with av.open(str(tmp_path / "a.png")) as container:
        rows = next(container.decode(video=0)).to_ndarray()
    assert rows.shape == (3, 4) and rows[-1].tolist() == [10, 20, 30, 40] and not rows[:-1].any()


def test_the_hash_is_of_the_pixels(tmp_path):
    """Two files of one picture are one recording; another picture, or another shape, is not."""
    picture = np.arange(12.0).reshape(4, 3)
    write_image(tmp_path / "a.png", picture)
    raw = (tmp_path / "a.png").read_bytes()
    comment = b"\0\0\0\4tEXta\0bc" + b"\x00\x00\x00\x00"
    (tmp_path / "b.png").write_bytes(raw[:33] + comment + raw[33:])
    write_image(tmp_path / "c.png", picture.reshape(3, 4))
    hashes = [image_hash(tmp_path / f"{name}.png") for name in "abc"]
    assert hashes[0] == hashes[1] != hashes[2] and len(hashes[0]) == 32


@pytest.mark.parametrize(
    ("raw", "kind"),
    [(b"", "empty"), (b"not a picture", "not-audio"), (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "decode")],
)
def test_bad_images_are_refused_with_their_kind(raw, kind, tmp_path):
    (tmp_path / "a.png").write_bytes(raw)
    with pytest.raises(AudioError) as caught:
        read_image(tmp_path / "a.png")
    assert caught.value.kind == kind
    with pytest.raises(AudioError) as caught:
        read_image(tmp_path / "missing.png")
    assert caught.value.kind == "missing"
    with pytest.raises(StorageError):
        write_image(tmp_path, np.zeros((2, 2)))


def test_a_real_spectrogram(shared):
    """Music has more energy low than high: were the rows turned round, this would fail."""
    picture = read_image(shared / "data/gtzan-spectrograms/images/blues/blues.00000.png")
    assert picture.shape == (496, 128) and picture.max() <= 255
    assert picture[:, :32].mean() > picture[:, -32:].mean() + 20
