"""Finds the vectors nearest to one: exactly, or by a graph once there are too many to compare."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

import faiss
import numpy as np

from core.embedding import FloatArray
from rankers.terms import IntArray

# Processor milliseconds of a search for 100 neighbours (median of 200) in 384 dimensions, and the
# graph's recall at 100 of queries that it does not hold; at 10 it was 1.0000 throughout. At
# 200,000 flat search takes 22 ms, and the graph was not measured:
#
#     vectors   flat   graph   recall@100   graph's build
#      10,000    1.0     0.6        .9996       4 s
#      50,000    5.4     1.6        .9955      58 s
#     100,000    8.9     2.1        .9926     157 s
#
# (Vectors as `rung bench index` draws them; with 20,000 of MiniLM: 2.1, 1.1, .9988, 11 s.)
# Up to here being exact costs less than a request's embedding does, and no build has to be awaited.
FLAT_UP_TO = 50_000

# 16 links and an efConstruction of 100 halve the build, but leave recall@100 at .9976 for .9996 at
# 10,000. A narrower search loses first what lies deep: with 64, 128 and 512 for 256 recall@100 of
# 100,000 is .892, .972 and .999 in .6, 1.2 and 3.4 ms.
LINKS, EF_CONSTRUCTION, EF_SEARCH = 32, 200, 256

# Whoever asks for more than one vector in so many is answered exactly. Processor milliseconds of a
# search (median of 15, vectors of `rung bench index`); the two cost the same at 310 and at 800:
#
#     count             100    300    500   1,000   2,000   5,000   10,000
#     20,000   graph    1.3    2.5    3.6     6.6      14      53      171
#              flat     2.5    2.7    2.5     2.7     3.3     3.6      5.2
#     60,000   graph    2.8    5.6    7.9      12      27      71      260
#              flat      11     13     11      10      12      12       15
WALKED_FOR_ONE_IN = 70

# Between two progress reports: some twenty seconds where a million are linked already. Where the
# slices begin has a say in the graph, so this is part of how it is made.
LINKED_AT_ONCE = 5_000

VECTORS, GRAPH = "vectors.faiss", "graph.faiss"
Progress = Callable[[int, int], None]


class VectorSearch(Protocol):
    """Holds unit vectors; immutable, and safe to share between threads."""

    @property
    def kind(self) -> str: ...

    @property
    def vectors(self) -> FloatArray:
        """Every vector as it was given, shape (n, dimensions), read-only."""
        ...

    def nearest(self, vector: FloatArray, count: int) -> IntArray:
        """Rows of the highest inner products, best first; `count` of them where it finds so many.

        More than all rows are never asked for.
        """
        ...

    def to_files(self) -> dict[str, bytes]: ...


class FlatSearch:
    """Compares with every vector: exact."""

    kind: ClassVar[str] = "flat"

    def __init__(self, flat: Any, owner: Any = None) -> None:
        """`flat` is a faiss.IndexFlat of inner products; `owner` is kept as long as this lives."""
        self._flat = flat
        self._owner = owner
        self.vectors: FloatArray = np.asarray(_Memory(flat, owner))

    @classmethod
    def over(cls, vectors: FloatArray) -> "FlatSearch":
        flat = faiss.IndexFlatIP(vectors.shape[1])
        flat.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(flat)

    def nearest(self, vector: FloatArray, count: int) -> IntArray:
        _, found = self._flat.search(_single(vector), min(count, self._flat.ntotal))
        rows: IntArray = found[0]
        return rows

    def to_files(self) -> dict[str, bytes]:
        return {VECTORS: faiss.serialize_index(self._flat).tobytes()}


class GraphSearch:
    """Walks a graph of neighbours (HNSW, Malkov and Yashunin 2018): near, and verified to be so.

    Where very many are asked for, it compares with every vector: exact, and faster then. The graph
    has no vectors of its own, so they are held and stored once.
    """

    kind: ClassVar[str] = "graph"

    def __init__(self, graph: Any, exact: FlatSearch) -> None:
        self.exact = exact
        self._graph = graph

    @classmethod
    def over(
        cls, vectors: FloatArray, *, progress: Progress = lambda done, total: None
    ) -> "GraphSearch":
        """`progress` gets the number of vectors linked so far, and of all; what it raises ends
        the build."""
        graph = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = EF_CONSTRUCTION
        for start in range(0, len(vectors), LINKED_AT_ONCE):
            some = vectors[start : start + LINKED_AT_ONCE]
            with _one_thread():
                graph.add(np.ascontiguousarray(some, dtype=np.float32))
            progress(start + len(some), len(vectors))
        return cls(graph, FlatSearch(faiss.downcast_index(graph.storage), graph))

    @property
    def vectors(self) -> FloatArray:
        return self.exact.vectors

    def nearest(self, vector: FloatArray, count: int) -> IntArray:
        count = min(count, len(self.vectors))
        if count > max(EF_SEARCH // 2, len(self.vectors) // WALKED_FOR_ONE_IN):
            return self.exact.nearest(vector, count)
        wide = faiss.SearchParametersHNSW(  # type: ignore[attr-defined]
            efSearch=max(EF_SEARCH, 2 * count)
        )
        _, found = self._graph.search(_single(vector), count, params=wide)
        rows: IntArray = found[0][found[0] >= 0]
        return rows

    def to_files(self) -> dict[str, bytes]:
        graph = faiss.serialize_index(self._graph, faiss.IO_FLAG_SKIP_STORAGE)
        return {**self.exact.to_files(), GRAPH: graph.tobytes()}


def search_over(
    vectors: FloatArray,
    *,
    flat_up_to: int = FLAT_UP_TO,
    progress: Progress = lambda done, total: None,
) -> VectorSearch:
    """Flat up to so many vectors, a graph beyond. `progress` gets the number of vectors that can
    be searched so far, and of all."""
    if len(vectors) > flat_up_to:
        return GraphSearch.over(vectors, progress=progress)
    flat = FlatSearch.over(vectors)
    progress(len(vectors), len(vectors))
    return flat


def read_search(files: Mapping[str, bytes], kind: str) -> VectorSearch:
    """What `to_files` of that kind told. Raises KeyError, ValueError or RuntimeError else.

    Only for bytes whose digests were verified: on others FAISS's reader may hang or crash.
    """
    flat = _read(files[VECTORS])
    if not isinstance(flat, faiss.IndexFlat) or flat.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise ValueError("the vectors are no flat index of inner products")
    exact = FlatSearch(flat)
    if not np.isfinite(exact.vectors).all():
        raise ValueError("a vector is not finite")
    if kind == FlatSearch.kind and GRAPH not in files:
        return exact
    if kind != GraphSearch.kind:
        raise ValueError("another way of searching")
    graph = _read(files[GRAPH])
    if not isinstance(graph, faiss.IndexHNSWFlat) or graph.storage is not None:
        raise ValueError("the graph is none, or brings vectors of its own")
    if (graph.ntotal, graph.d, graph.metric_type) != (flat.ntotal, flat.d, flat.metric_type):
        raise ValueError("the graph is not over these vectors")
    _require_links_within(graph.hnsw, flat.ntotal)
    graph.storage, graph.own_fields = flat, False  # else FAISS would free what is ours
    return GraphSearch(graph, exact)


def _require_links_within(hnsw: Any, size: int) -> None:
    """FAISS follows links without looking: one beyond the end reads foreign memory."""
    levels, offsets, links = map(faiss.vector_to_array, (hnsw.levels, hnsw.offsets, hnsw.neighbors))
    rooms = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    fit = (
        len(levels) == size
        and len(offsets) == size + 1
        and levels.min() >= 1
        and levels.max() < len(rooms)
        and offsets[0] == 0
        and offsets[-1] == len(links)
        and np.array_equal(np.diff(offsets.astype(np.int64)), rooms[levels])
        and links.min() >= -1
        and links.max() < size
        and 0 <= hnsw.entry_point < size
        and hnsw.max_level == levels[hnsw.entry_point] - 1 == levels.max() - 1
    )
    if not fit:
        raise ValueError("a link of the graph leads nowhere")


def _read(content: bytes) -> Any:
    return faiss.deserialize_index(np.frombuffer(content, dtype=np.uint8))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Two builds then give the same bytes, and a worker that forked finds no dead thread pool."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # of the calling thread alone
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _single(vector: FloatArray) -> FloatArray:
    return np.ascontiguousarray(vector[None], dtype=np.float32)


class _Memory:
    """Where FAISS holds its vectors, for numpy to look at: a copy would double an index."""

    def __init__(self, flat: Any, owner: Any) -> None:
        self._kept = (flat, owner)  # numpy keeps this object, and so the memory stays
        self.__array_interface__ = {
            "shape": (flat.ntotal, flat.d),
            "typestr": np.dtype(np.float32).str,
            "data": (int(flat.get_xb()), True),
            "version": 3,
        }
