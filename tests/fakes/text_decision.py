"""The text decision of tests.fakes.service, fitted without a model file, and a server of it.

`python -m tests.fakes.text_decision PORT` serves what is live in its environment's home over HTTP
as `rung serve` does, but with a HashingEmbedder, so that it starts without a language model.
"""

import os
import sys
from collections.abc import Mapping

from core.artifacts import ArtifactStore
from core.clock import SystemClock
from core.jobs.corpus_jobs import BULK, put_documents
from core.settings import Settings
from core.spec import parse_spec
from core.store import Store
from core.store.documents import CorpusName, NewDocument
from lab.fit_intent import fit_intent
from lab.tables import LabelledTexts
from llm import ExtractiveDoor, Prompts
from rankers.corpora import CHUNKER, build_index, chunks_of
from rankers.quality import QualityHead, QualityScorer
from rankers.ranker import HybridRanker
from rankers.retriever import Retriever
from router.parts import RELEASE, LadderParts
from router.policy import CostPolicy
from router.runtime import Runtime
from router.support import SupportModel
from rules.ruleset import RulesEngine
from tests.fakes.hashing_embedder import HashingEmbedder
from tests.fakes.service import SPEC
from tests.fakes.vector_cache import MemoryVectors
from tests.fakes.worker_nursery import hashing_works
from workers.run import run_until_idle

TENANT, NAME, CORPUS = "default", "support", "corpus"
WHICH = CorpusName(tenant_id=TENANT, decision=NAME, corpus=CORPUS)
# Far above what a loaded machine takes: no answer depends on its pace.
PATIENT = SPEC.replace("deadline_ms: 2000", "deadline_ms: 30000")
RULES = "version: '1'\nhit_policy: first\n"
SURE = QualityHead.constant(0.95)  # a passage that is found is an answer


def parts(documents: Mapping[str, str]) -> LadderParts:
    """Whatever is asked about an arrival is answered from the corpus; a theft is blocked."""
    embedder, spec = HashingEmbedder(), parse_spec(PATIENT)
    index = build_index(chunks_of(as_new(documents)), embedder, MemoryVectors())
    retriever = Retriever(
        index=index,
        embedder=embedder,
        ranker=HybridRanker(),
        quality=QualityScorer(first=SURE, cited=SURE),
    )
    return LadderParts(
        decision_yaml=PATIENT,
        rules_yaml=RULES,
        spec=spec,
        rules=RulesEngine.from_text(RULES),
        intents=fit_intent(_labelled(), embedder),
        risk=None,
        prompts=Prompts.load(),
        retrievers={CORPUS: retriever},
        support=SupportModel(),
        policy=CostPolicy(costs=spec.costs, after={}),
    )


def make_live(settings: Settings, store: Store, documents: Mapping[str, str]) -> None:
    """With an index of these documents in force."""
    put_documents(store, WHICH, as_new(documents), source="api", priority=BULK)
    run_until_idle(settings, hashing_works())
    release = artifacts_of(settings).put(TENANT, RELEASE, parts(documents).to_files())
    store.register_release(TENANT, NAME, release)


def as_new(documents: Mapping[str, str]) -> list[NewDocument]:
    return [NewDocument(id=name, title=name, text=text) for name, text in documents.items()]


def artifacts_of(settings: Settings) -> ArtifactStore:
    return ArtifactStore(settings.artifacts, settings.secret.get_secret_value().encode())


def identity_of(documents: Mapping[str, str]) -> str:
    """Of their index, built here and by nobody's job."""
    chunks = chunks_of(as_new(documents))
    assert len(chunks) == len(documents), f"by {CHUNKER.name} each document is to be one chunk"
    return build_index(chunks, HashingEmbedder(), MemoryVectors()).identity


def _labelled() -> LabelledTexts:
    arrival = [f"when does {thing} arrive {n}" for thing in ("it", "money") for n in range(15)]
    fraud = [f"{thing} was stolen {n}" for thing in ("card", "phone") for n in range(15)]
    labels = ["arrival"] * len(arrival) + ["fraud"] * len(fraud)
    return LabelledTexts(texts=[*arrival, *fraud], labels=labels)


def main(port: int) -> None:
    from api.serve import serve

    settings = Settings.from_environment(os.environ)
    store = Store.open(settings.database_url, SystemClock(), secret=settings.secret)
    runtime = Runtime(
        settings=settings,
        store=store,
        artifacts=artifacts_of(settings),
        embedder=HashingEmbedder,
        door=lambda parts, embedder: ExtractiveDoor(),
        clock=SystemClock(),
    )
    serve(runtime, settings, port=port)
    store.close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
