"""Requests of an invented payment company with the truth about each, the same for the same seed.

    python examples/payments_support/simulate.py --rows 4000 --seed 7 --out rows.jsonl

The words come from phrases/*.yaml and frame.yaml. A phrase belongs to the family `train` or `test`,
so that a test message is never a paraphrase that training has seen. Wording moves on within `train`
too: a third of its phrases come up only in the last quarter of the rows, so that a split by time,
unlike one at random, tells how the next message will fare. Fraud is drawn from `fraud_probability`,
which reads the structured fields only: whoever knows them learns nothing more from the text.
"""

import argparse
import json
import math
import os
import random
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
STARTS = {"train": datetime(2025, 1, 1, tzinfo=UTC), "test": datetime(2025, 9, 1, tzinfo=UTC)}
ROWS_A_DAY = 18
OPENING_DAYS = 150  # over which some accounts are opened, so that there are always new ones
CUSTOMERS = 900
COMPOUND = 0.165  # of the help questions, which makes some 8 % of all rows
TYPOS, LOWERCASE, PERSONAL_DATA = 0.18, 0.25, 0.05
NEW_WORDING_FROM, NEW_WORDING = 0.75, 0.40  # from that share of the rows on, in that share of them
WAVE = (0.60, 0.75)  # the share of the rows between which an incident's fraud wave falls
WEEK = timedelta(days=7)

# Weight and truth of each intent. The weights of the help intents follow their articles' number.
INTENTS: dict[str, tuple[float, str]] = {
    "duplicate_charge": (6, "refund"),
    "transfer_pending": (7, "explain_transfer_time"),
    "card_broken": (5, "send_replacement_card"),
    "card_stolen": (4, "block_card"),
    "pin_forgotten": (5, "resend_pin"),
    "locked_out": (6, "unlock_account"),
    "ask_transfers": (6.5, "answer"),
    "ask_fees": (5.5, "answer"),
    "ask_cards": (7, "answer"),
    "ask_limits": (4, "answer"),
    "ask_account": (8, "answer"),
    "ask_disputes": (5, "answer"),
    "ask_debits": (3, "answer"),
    "ask_travel": (4, "answer"),
    "ask_security": (3, "answer"),
    "business": (6, "answer"),
    "complaint": (5, "person"),
    "out_of_scope": (11, "person"),
}
OUT_OF_SCOPE = {"off_topic": 5.0, "vague": 3.0, "german": 1.2, "french": 0.9, "spanish": 0.9}
FOREIGN = {"german": "Guten Tag, ", "french": "Bonjour, ", "spanish": "Buenos días, "}
# What the form of the app offers; a customer may leave it out, or choose the wrong entry.
KINDS = {
    "duplicate_charge": "duplicate_charge",
    "card_broken": "card_broken",
    "card_stolen": "card_lost",
    "pin_forgotten": "pin",
    "locked_out": "login",
}
WITH_AMOUNT = {"duplicate_charge": 0.97, "transfer_pending": 0.9, "ask_disputes": 0.8}
WITH_AMOUNT |= {"ask_transfers": 0.5, "ask_debits": 0.6, "card_stolen": 0.4, "ask_fees": 0.4}
REPORTED = {"card_stolen": 0.15, "ask_disputes": 0.05, "ask_security": 0.05}
HOMES = {"DE": 6.0, "FR": 4.0, "ES": 3.0, "IE": 3.0, "NL": 2.0}
ELSEWHERE = ("DE", "FR", "ES", "IE", "NL", "IT", "PL", "GB", "US", "OTHER")
TIERS = {"standard": 10.0, "plus": 5.0, "premium": 2.0, "business": 2.0}

Phrases = Mapping[str, Mapping[str, list[str]]]
ALTERNATION, SLOT = re.compile(r"\(([^()]*\|[^()]*)\)"), re.compile(r"<(\w+)>")


@dataclass(frozen=True, kw_only=True)
class Customer:
    id: str
    home_country: str
    tier: str
    usual_amount: float
    age_at_start: int
    has_open_dispute: bool


def simulate(
    rows: int, seed: int, *, split: str = "train", drift: float = 0.0, incident: bool = False
) -> Iterator[dict[str, Any]]:
    """Rows in time order: the request's fields, then what turned out to be true about it.

    `drift` from 0 to 1 moves what is asked, by whom, and what fraud looks like. `incident` puts a
    wave of fraud into 15 % of the rows.
    """
    if not 0 <= drift <= 1 or rows < 0 or split not in STARTS:
        raise ValueError("rows >= 0, 0 <= drift <= 1, and split is train or test")
    rng = random.Random(f"{seed}:{split}")
    customers = [_customer(random.Random(f"{seed}:customer:{n}"), n) for n in range(CUSTOMERS)]
    moment = STARTS[split]
    for place in range(rows):
        wave = incident and in_wave(place, rows)
        pause = rng.expovariate(ROWS_A_DAY * (3 if wave else 1)) * 86_400
        moment += timedelta(seconds=max(1, round(pause)))
        phrases = _phrases(split, place >= NEW_WORDING_FROM * rows and rng.random() < NEW_WORDING)
        who = rng.choice(customers)
        while who.age_at_start + (moment - STARTS["train"]).days < 1:
            who = rng.choice(customers)
        yield _row(rng, who, moment, phrases, drift, wave)


def in_wave(place: int, rows: int) -> bool:
    """Whether the row at `place` of `rows` lies in an incident's wave."""
    return WAVE[0] * rows <= place < WAVE[1] * rows


def fraud_probability(facts: Mapping[str, Any], *, drift: float = 0.0, wave: bool = False) -> float:
    """The probability with which the simulator calls a request fraud: the oracle for tests.

    A logistic model with interactions. An unknown fact adds nothing.
    """
    new_device = 1.0 if facts["new_device"] else 0.0
    abroad = 1.0 if facts["country"] not in (None, facts["home_country"]) else 0.0
    excess = 0.0
    if facts["amount"] is not None:
        excess = min(3.5, max(0.0, math.log((facts["amount"] + 1) / (facts["usual_amount"] + 1))))
    young = 1.0 if (facts["account_age_days"] or 1000) < 90 else 0.0
    night = 1.0 if datetime.fromisoformat(facts["occurred_at"]).astimezone(UTC).hour < 5 else 0.0
    logit = (
        -5.2
        + 1.2 * new_device
        + 0.8 * abroad
        + (2.6 - 2.2 * drift) * new_device * abroad
        + 1.1 * excess
        + 0.9 * excess * young
        + 0.5 * min(facts["failed_logins_24h"] or 0, 8) * (0.4 + 0.6 * new_device)
        + (0.7 + 2.0 * drift) * night
        + 1.0 * young
        + (6.5 if facts["reported_fraud"] else 0.0)
        + (1.5 if wave else 0.0)
    )
    return 1 / (1 + math.exp(-logit))


def _customer(rng: random.Random, number: int) -> Customer:
    return Customer(
        id=f"customer-{number:04d}",
        home_country=_weighted(rng, HOMES),
        tier=_weighted(rng, TIERS),
        usual_amount=round(math.exp(rng.gauss(3.8, 0.7)), 2),
        age_at_start=int(rng.expovariate(1 / 700)) + 1 - rng.randint(0, OPENING_DAYS),
        has_open_dispute=rng.random() < 0.05,
    )


def _row(
    rng: random.Random, who: Customer, moment: datetime, phrases: Phrases, drift: float, wave: bool
) -> dict[str, Any]:
    intent = _intent(rng, who, drift, wave)
    facts = _facts(rng, who, moment, intent, drift, wave)
    fraud = rng.random() < fraud_probability(facts, drift=drift, wave=wave)
    message, documents = _message(rng, intent, phrases, facts, TYPOS + 0.2 * drift)
    delay = rng.expovariate(1) if fraud else rng.expovariate(3)
    known_at = moment + timedelta(seconds=round(min(delay, 1.0) * 86_400))
    return {
        "message": message,
        **facts,
        "chargeback_filed": rng.random() < (0.85 if fraud else 0.01),
        "intent": intent,
        "fraud": int(fraud),
        "truth": "block_card" if fraud else INTENTS[intent][1],
        "documents": documents,
        "resolved_at": known_at.isoformat(),
    }


def _intent(rng: random.Random, who: Customer, drift: float, wave: bool) -> str:
    weights = {intent: weight for intent, (weight, _) in INTENTS.items()}
    weights["business"] *= 4.0 if who.tier == "business" else 0.65
    for intent in ("ask_travel", "ask_security", "ask_fees"):
        weights[intent] *= 1 + 2 * drift
    if wave:
        for intent in ("locked_out", "ask_security", "card_stolen"):
            weights[intent] *= 4
    return _weighted(rng, weights)


def _facts(
    rng: random.Random, who: Customer, moment: datetime, intent: str, drift: float, wave: bool
) -> dict[str, Any]:
    """The structured fields. What may be null is null now and then."""
    on_new_device = 0.35 if intent in ("locked_out", "ask_security") or wave else 0.12
    abroad = rng.random() < 0.14 * (1 + drift)
    amount = None
    if rng.random() < WITH_AMOUNT.get(intent, 0.15):
        unusual = 2.0 if rng.random() < 0.06 else 0.0
        amount = who.usual_amount * math.exp(rng.gauss(unusual + 0.4 * drift, 0.7))
    failed = rng.randint(3, 6) if intent == "locked_out" else int(rng.expovariate(1.4))
    disputes = who.has_open_dispute or (intent == "ask_disputes" and rng.random() < 0.25)
    return {
        "customer": who.id,
        "occurred_at": moment.isoformat(),
        "kind": _kind(rng, intent),
        "amount": None if amount is None else round(min(amount, 20_000.0), 2),
        "usual_amount": who.usual_amount,
        "country": _or_null(rng, rng.choice(ELSEWHERE) if abroad else who.home_country),
        "home_country": who.home_country,
        "tier": who.tier,
        "new_device": _or_null(rng, rng.random() < on_new_device * (1 + 0.5 * drift)),
        "failed_logins_24h": failed,
        "account_age_days": who.age_at_start + (moment - STARTS["train"]).days,
        "business_days": rng.randint(0, 6) if intent == "transfer_pending" else None,
        "chargeback_open": _or_null(rng, disputes),
        "reported_fraud": rng.random() < REPORTED.get(intent, 0.002),
    }


def _kind(rng: random.Random, intent: str) -> str | None:
    if rng.random() < 0.5:
        return None
    if rng.random() < 0.03:
        return rng.choice(sorted(KINDS.values()))
    if intent == "transfer_pending":
        return rng.choice(("transfer_pending", "transfer_late"))
    return KINDS.get(intent, "other")


def _message(
    rng: random.Random, intent: str, phrases: Phrases, facts: Mapping[str, Any], typos: float
) -> tuple[str, list[str]]:
    """The text and the ids of the articles that answer it."""
    topics = phrases[intent]
    topic = _weighted(rng, OUT_OF_SCOPE) if intent == "out_of_scope" else rng.choice(list(topics))
    body = _filled(rng, rng.choice(topics[topic]), facts)
    documents = [topic] if INTENTS[intent][1] == "answer" else []
    if documents and intent != "business" and rng.random() < COMPOUND:
        second = _second(rng, phrases, intent, topic)
        asked = rng.choice(phrases[second[0]][second[1]])
        body = body + ("" if body[-1] in "?.!" else ".") + rng.choice(_frame()["joins"])
        body, documents = body + _filled(rng, asked, facts), [*documents, second[1]]
    elif topic in FOREIGN:
        greeting = FOREIGN[topic] if rng.random() < 0.5 else ""
        return _with_personal_data(rng, _capital(greeting + body)), documents
    text = _capital(body)
    if topic != "vague" and rng.random() < 0.3:
        text = _filled(rng, rng.choice(_frame()["contexts"]), facts) + text
    if rng.random() < 0.5:
        text = rng.choice(_frame()["openings"]) + text
    if rng.random() < 0.3:
        text = text.removesuffix("?")
    if rng.random() < 0.35:
        text = text + ("" if text[-1] in "?.!" else ".") + rng.choice(_frame()["closings"])
    if rng.random() < LOWERCASE:
        text = text.lower()
    if rng.random() < typos:
        text = _mistyped(rng, text)
    return _with_personal_data(rng, text), documents


def _second(rng: random.Random, phrases: Phrases, intent: str, topic: str) -> tuple[str, str]:
    """Another article's topic with its intent; half of them of the same intent."""
    near = rng.random() < 0.5
    others = [
        (name, other)
        for name, topics in phrases.items()
        for other in topics
        if name.startswith("ask_") and other != topic and (not near or name == intent)
    ]
    return rng.choice(others)


def _filled(rng: random.Random, phrase: str, facts: Mapping[str, Any]) -> str:
    phrase = ALTERNATION.sub(lambda found: rng.choice(found[1].split("|")), phrase)
    return SLOT.sub(lambda found: _slot(rng, found[1], facts), phrase)


def _slot(rng: random.Random, name: str, facts: Mapping[str, Any]) -> str:
    """Amount, days and plan say what the facts say, where the facts know it."""
    if name == "amount":
        amount = facts["amount"] if facts["amount"] is not None else rng.randint(5, 900)
        return rng.choice(("€{:.2f}", "{:.2f} euros", "EUR {:.2f}", "{:.0f} euro")).format(amount)
    if name == "days":
        return str(facts["business_days"] or rng.randint(3, 12))
    if name == "tier":
        return str(facts["tier"]).capitalize()
    return str(rng.choice(_frame()["slots"][name]))


def _mistyped(rng: random.Random, text: str) -> str:
    """One or two words of at least four letters with a slip of the finger."""
    words = text.split(" ")
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(len(words))
        word = words[place]
        if len(word) >= 4 and word.isalpha():
            at = rng.randrange(1, len(word) - 1)
            slips = (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            )
            words[place] = rng.choice(slips)
    return " ".join(words)


def _with_personal_data(rng: random.Random, text: str) -> str:
    """Now and then a card number, address, phone or IBAN that passes its check and is nobody's."""
    if rng.random() >= PERSONAL_DATA:
        return text
    card = f"4{rng.randrange(10**14):014d}"
    card += next(d for d in "0123456789" if _luhn(card + d))
    account = f"{rng.randrange(10**18):018d}"
    check = 98 - int(account + "131400") % 97  # D is 13, E is 14
    return text + str(rng.choice(_frame()["personal"])).format(
        card=" ".join(card[at : at + 4] for at in range(0, 16, 4)),
        mail=f"{rng.choice(('ana.reis', 'j.murphy', 'k.weber', 'l.petit'))}@example.com",
        phone=f"+49 151 {rng.randrange(10**8):08d}",
        iban=f"DE{check:02d}{account}",
    )


def _luhn(digits: str) -> bool:
    doubled = (int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits)))
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _or_null(rng: random.Random, value: Any) -> Any:
    return None if rng.random() < 0.02 else value


def _weighted(rng: random.Random, weights: Mapping[str, float]) -> str:
    return rng.choices(list(weights), list(weights.values()))[0]


@cache
def _phrases(split: str, new: bool) -> Phrases:
    """Intent, topic, phrases. The topic of a help intent is the id of its article.

    Every third phrase of the training family is new wording.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for path in sorted((FOLDER / "phrases").glob("*.yaml")):
        for intent, topics in _read(path).items():
            found[intent] = {}
            for topic, families in topics.items():
                lines = families[split].splitlines()
                if split == "train":
                    lines = [x for n, x in enumerate(lines) if (n % 3 == 2) is new]
                found[intent][topic] = lines
    return found


@cache
def _frame() -> dict[str, Any]:
    """What stands around a phrase, and what its slots are filled with."""
    return _read(FOLDER / "frame.yaml")


def _read(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where it was built
    content: dict[str, Any] = yaml.load(path.read_text("utf-8"), Loader=loader)
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes simulated requests with their truth.")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="a JSON Lines file")
    parser.add_argument("--split", choices=sorted(STARTS), default="train")
    parser.add_argument("--drift", type=float, default=0.0, metavar="X", help="from 0 to 1")
    parser.add_argument("--incident", action="store_true", help="a wave of fraud")
    given = parser.parse_args()
    if given.rows < 0 or not 0 <= given.drift <= 1:
        parser.error("--rows must not be negative, and --drift lies between 0 and 1")
    partial = given.out.with_name(given.out.name + ".part")
    with partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in simulate(
            given.rows, given.seed, split=given.split, drift=given.drift, incident=given.incident
        ):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    os.replace(partial, given.out)
    print(f"{given.rows} rows in {given.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
