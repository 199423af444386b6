"""What is claimed, of which numbers, and what is run to decide it."""

from assay.studies.knowledge.out_of_context_reasoning.claims.further import DEPTH, DOSE_RESPONSE, MITIGATION, OPTIMISER
from assay.studies.knowledge.out_of_context_reasoning.claims.language_model import LANGUAGE_MODEL
from assay.studies.knowledge.out_of_context_reasoning.claims.symbolic import SYMBOLIC, WIDTH

__all__ = ["DEPTH", "DOSE_RESPONSE", "LANGUAGE_MODEL", "MITIGATION", "OPTIMISER", "SYMBOLIC", "WIDTH"]
