"""`rung train`: fit every model of a decision, store them as one release, and make it live."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.decision_folder import DecisionFolder
from cli.told import DEFAULT_TENANT, AsJson, Tenant, errors_told, note, progress_told, tell

if TYPE_CHECKING:
    from cli.home import Home
    from core.embedding import TextEmbedder
    from rankers.index import HybridIndex

Spec = Annotated[Path, typer.Argument(help="A decision's folder.")]


def train(
    spec: Spec,
    data: Annotated[Path, typer.Option(help="JSON Lines of past requests, in order of time.")],
    seed: Annotated[int, typer.Option(help="Of everything that is drawn at random.")] = 0,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJson = False,
) -> None:
    """Fit intents, risk, rankers, quality and the cost policy, and make the release live."""
    with errors_told(as_json):
        from cli.home import default_embedder, keyless_door, open_home

        folder = DecisionFolder.read(spec)
        with open_home() as home, progress_told() as progress:
            from lab.decision_rows import read_decision_rows

            # Before the models are loaded: a bad file is told at once.
            rows = read_decision_rows(folder.spec, data)
            from lab.reproducible import one_blas_thread
            from lab.train_decision import Written, train_decision
            from router.runtime import RELEASE

            embedder = default_embedder()
            progress("preparing the corpora", 0, 1)
            indexes = {c: _index(home, folder, c, tenant, embedder) for c in folder.spec.corpora}
            with one_blas_thread():
                trained = train_decision(
                    Written(
                        decision_yaml=folder.decision_yaml,
                        rules_yaml=folder.rules_yaml,
                        prompts=folder.prompts,
                    ),
                    rows,
                    {corpus: index for corpus, (_, index) in indexes.items()},
                    embedder,
                    door=keyless_door(embedder),
                    clock=home.clock,
                    seed=seed,
                    progress=progress,
                )
            name = folder.spec.name
            release = home.artifacts.put(
                tenant, RELEASE, trained.parts.to_files(), {"decision": name}
            )
            for corpus, (artifact_id, _) in indexes.items():
                home.store.register_index(tenant, name, corpus, artifact_id)
            home.store.register_release(tenant, name, release)
        told = {"decision": name, "release": release, "report": trained.report}
    tell(told, as_json, lambda: readable_report(told))


def _index(
    home: "Home", folder: DecisionFolder, corpus: str, tenant: str, embedder: "TextEmbedder"
) -> "tuple[str, HybridIndex]":
    """The index that a worker has built from these very documents, or a new one."""
    from rankers.corpora import build_index, load_index, put_documents

    documents = put_documents(home.artifacts, tenant, folder.documents(corpus))
    current = home.store.current_index(tenant, folder.spec.name, corpus)
    if current is not None:
        index = load_index(home.artifacts, tenant, current, embedder, documents=documents)
        if index is not None:
            note(f"corpus {corpus}: the index is up to date")
            return current, index
    return build_index(home.artifacts, tenant, documents, embedder)


def readable_report(told: dict[str, Any]) -> str:
    report = told["report"]["ladder"]
    lines = [f"{told['decision']}: release {told['release'][:12]}", ""]
    lines += readable_ladder(report)
    return "\n".join(lines)


def readable_ladder(report: dict[str, Any]) -> list[str]:
    unit = report["currency"]
    lines = ["who answered the test rows   share      n   right  [95 % interval]"]
    for rung, part in report["rungs"].items():
        right = "       -"
        if part["accuracy"]:
            a = part["accuracy"]
            right = f"{a['mean']:8.3f}  [{a['ci_low']:.3f}, {a['ci_high']:.3f}]"
        lines.append(f"  {rung:<26} {part['share']:6.3f} {part['n']:6d} {right}")
    cost = report["cost_per_decision"]
    lines += ["", f"cost of a decision: {_money(cost, unit)}"]
    for name, saved in report["saved_against"].items():
        lines.append(f"  saved against {name.replace('_', ' ')}: {_money(saved, unit)}")
    return lines


def _money(figure: dict[str, float], unit: str) -> str:
    interval = f"[{figure['ci_low']:.2f}, {figure['ci_high']:.2f}]"
    return f"{figure['mean']:.2f} {unit} {interval}, n = {figure['n']:.0f}"
