"""The static files: the release in their addresses, compression, and a folder that was never built."""

import gzip
from pathlib import Path

import pytest

from api.web.static_files import load_static_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files as the build creates them."""
    (tmp_path / "icons").mkdir()
    (tmp_path / "icons" / "180.png").write_bytes(b"\x89PNG" * 100)
    (tmp_path / "index.html").write_text('<script src="/static/app.js"></script>')
    (tmp_path / "sw.js").write_text('const r="{release}",f="/static/app.js";')
    (tmp_path / "app.js").write_text('import"/static/other.js";' * 20)
    return tmp_path


def test_release_is_inserted_into_pages_and_the_service_worker(folder: Path) -> None:
    files = load_static_files(folder)
    release, by_path = files.release, files.by_path
    assert by_path["index.html"].content.decode() == f'<script src="/static/{release}/app.js"></script>'
    assert by_path["sw.js"].content.decode() == f'const r="{release}",f="/static/{release}/app.js";'
    assert by_path["app.js"].content == (folder / "app.js").read_bytes()


def test_release_changes_with_the_content_or_the_name_of_any_file(folder: Path) -> None:
    releases = [load_static_files(folder).release]
    (folder / "icons" / "180.png").write_bytes(b"\x89PNG" * 101)
    releases.append(load_static_files(folder).release)
    (folder / "icons" / "180.png").rename(folder / "icons" / "181.png")
    releases.append(load_static_files(folder).release)
    assert len(set(releases)) == 3


def test_files_are_compressed_only_where_that_makes_them_smaller(folder: Path) -> None:
    by_path = load_static_files(folder).by_path
    compressed = by_path["app.js"].compressed
    assert compressed is not None
    assert gzip.decompress(compressed) == by_path["app.js"].content
    assert len(compressed) < len(by_path["app.js"].content)
    assert by_path["sw.js"].compressed is None
    assert by_path["icons/180.png"].compressed is None


def test_folder_without_a_page_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="make web"):
        load_static_files(tmp_path)
