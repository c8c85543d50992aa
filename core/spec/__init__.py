"""The description of one decision, as its owner writes it in decision.yaml."""

from core.spec.costs import Budgets, Costs
from core.spec.decision import DecisionSpec, Handler, load_spec, parse_spec
from core.spec.framing import Framing
from core.spec.request import FieldSpec, RequestSchema

__all__ = [
    "Budgets",
    "Costs",
    "DecisionSpec",
    "FieldSpec",
    "Framing",
    "Handler",
    "RequestSchema",
    "load_spec",
    "parse_spec",
]
