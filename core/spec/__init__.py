"""The description of one decision, as its owner writes it in decision.yaml."""

from core.spec.costs import Budgets, Costs
from core.spec.decision import DecisionSpec, Handler, Risk, load_spec, parse_spec
from core.spec.framing import Framing
from core.spec.gate import STEPS, Gate, Slice, StepName
from core.spec.request import FieldSpec, RequestSchema, RowNumber
from core.spec.scores import Scores
from core.spec.shared_features import read_decision

__all__ = [
    "STEPS",
    "Budgets",
    "Costs",
    "DecisionSpec",
    "FieldSpec",
    "Framing",
    "Gate",
    "Handler",
    "RequestSchema",
    "Risk",
    "RowNumber",
    "Scores",
    "Slice",
    "StepName",
    "load_spec",
    "parse_spec",
    "read_decision",
]
