"""entities in decision.yaml: what does not fit is refused with its line."""

import pytest

from core.errors import InvalidDocument
from core.spec import parse_spec
from tests.fakes.entity_decision import DECISION

BY_ROWS = "{row_number: true, label_delay_rows: 1}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    key: customer\n", "    key: amount\n", "which is no available field"),
        ("    key: customer\n", "    key: nobody\n", "which is no available field"),
        ("time: ordered_at", "entity: customer", "stands twice"),
        ("  time: ordered_at\n", "", "name request.time"),
        (
            "  time: ordered_at\n",
            "  time: {row_number: true, label_delay_rows: 1}\n",
            "name request.time",
        ),
        ("payments_30d: {event: payment", "amount: {event: payment", "two facts"),
        ("complaints_90d: {", "spent_30d: {", "two facts"),
        ("event: login,", "event: logout,", "no event"),
        ("aggregate: sum, of: amount", "aggregate: sum", "needs a field"),
        ("aggregate: sum, of: amount", "aggregate: sum, of: shop", "reads numbers"),
        ("aggregate: sum, of: amount", "aggregate: sum, of: size", "no field of the event"),
        ("aggregate: days_since, days", "aggregate: days_since, of: x, days", "reads no field"),
        ("fee, days: 90", "fee, days: 0", "greater than 0"),
        ("of: payments_30d, version: 3", "of: nothing_30d, version: 3", "which is no field"),
        ("{kind: number, of: payments_30d", "{kind: length, of: payments_30d", "of type number"),
        ("of: purpose}", "of: merchant}", "pseudonym"),
        ("version: 3,", "version: 0,", "greater than or equal to 1"),
    ],
)
def test_refused(old: str, new: str, told: str) -> None:
    assert DECISION.count(old) == 1
    with pytest.raises(InvalidDocument) as caught:
        parse_spec(DECISION.replace(old, new))
    assert told in str(caught.value)
    assert caught.value.line


def test_its_features_are_facts_that_no_caller_sends() -> None:
    spec = parse_spec(DECISION)
    assert list(spec.entity_features)[:2] == ["payments_30d", "spent_30d"]
    assert spec.entity_keys == {"customer", "merchant"}
    assert not spec.entity_features.keys() & spec.request.fields.keys()
