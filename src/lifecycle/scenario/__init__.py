"""The scenario language: its model, loading with every mistake reported at once, its JSON Schema.

story = load(Path("scenarios/churn_prediction.yaml"))
"""

from lifecycle.scenario.loading import InvalidFile, Mistake, Story, dump, load, load_use_case
from lifecycle.scenario.model import Scenario
from lifecycle.scenario.vocabulary import schema_of

__all__ = ["InvalidFile", "Mistake", "Scenario", "Story", "dump", "load", "load_use_case", "schema_of"]
