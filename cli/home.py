"""What a command works on: the settings of this environment, its store and its artifacts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.artifacts import ArtifactStore
    from core.clock import Clock
    from core.embedding import TextEmbedder
    from core.settings import Settings
    from core.store import Store
    from router.parts import LadderParts
    from router.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class Home:
    settings: "Settings"
    store: "Store"
    artifacts: "ArtifactStore"
    clock: "Clock"


@contextmanager
def open_home() -> Iterator[Home]:
    """Makes the home folder and migrates the database where that is due."""
    from core.artifacts import ArtifactStore
    from core.clock import SystemClock
    from core.settings import Settings
    from core.store import Store

    settings = Settings.from_environment(os.environ)
    clock = SystemClock()
    store = Store.open(settings.database_url, clock, secret=settings.secret)
    key = settings.secret.get_secret_value().encode()
    try:
        yield Home(
            settings=settings,
            store=store,
            artifacts=ArtifactStore(settings.artifacts, key),
            clock=clock,
        )
    finally:
        store.close()


def embedder_of(settings: "Settings") -> "TextEmbedder":
    """The one of RUNG_EMBEDDER, which workers, training, evaluation and serving must share."""
    from rankers.open_embedder import open_embedder

    return open_embedder(settings.embedder, models=settings.models)


def open_runtime(home: Home, *, keyless: bool = False) -> "Runtime":
    """`keyless`: no language model is asked, whatever the environment says."""
    from core.store import DatabaseBudget
    from llm import LanguageConfig, LanguageDoor, open_door
    from rankers.memory import RememberingEmbedder
    from router.runtime import Runtime

    config = LanguageConfig() if keyless else LanguageConfig.from_environment(os.environ)

    def door(parts: "LadderParts", embedder: "TextEmbedder | None") -> LanguageDoor:
        per_day = {parts.spec.name: parts.spec.budgets.price_per_day}
        budget = DatabaseBudget(home.store, per_day=per_day)
        return open_door(
            config,
            budget=budget,
            clock=home.clock,
            prompts=parts.prompts,
            embedder=RememberingEmbedder(embedder) if embedder else None,
        )

    return Runtime(
        settings=home.settings,
        store=home.store,
        artifacts=home.artifacts,
        embedder=lambda: embedder_of(home.settings),
        door=door,
        clock=home.clock,
    )
