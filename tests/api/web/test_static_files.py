"""The pages' files: made once for all who ask, and made again after they could not be."""

import asyncio
from pathlib import Path

import pytest

from api import web_files
from api.assets import Assets
from api.web_files import WebFiles


async def test_many_who_ask_at_once_have_them_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def made(web: Path) -> Assets:
        asked.append(web)
        return Assets("r", {})

    monkeypatch.setattr(web_files, "made", made)
    files = WebFiles(Path("web"))
    assert asked == []
    assert len({id(assets) for assets in await asyncio.gather(*(files.get() for _ in range(5)))}) == 1
    assert asked == [Path("web")]


async def test_what_could_not_be_made_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    faults = [OSError("too many open files")]

    def made(web: Path) -> Assets:
        if faults:
            raise faults.pop()
        return Assets("r", {})

    monkeypatch.setattr(web_files, "made", made)
    files = WebFiles(Path("web"))
    with pytest.raises(OSError, match="too many"):
        await files.get()
    assert (await files.get()).release == "r"
