"""Files appear whole, with the rights of any new file, or not at all."""

import os
import stat

import pytest

from fastmed._engine.files import atomically


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "table"
    target.write_bytes(b"old")
    with atomically(target) as stream:
        stream.write(b"new")
        assert target.read_bytes() == b"old"
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["table"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="halfway"), atomically(target) as stream:
        stream.write(b"ne")
        raise RuntimeError("halfway")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["table"]


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX's")
def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    with atomically(tmp_path / "ours") as stream:
        stream.write(b"")
    (tmp_path / "plain").write_bytes(b"")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain")}
    assert len(modes) == 1
