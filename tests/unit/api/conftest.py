from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.http_face import Face


@pytest.fixture
def face(tmp_path: Path) -> Iterator[Face]:
    face = Face(tmp_path)
    yield face
    face.store.close()
