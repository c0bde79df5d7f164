"""Models put to labelled light curves: objects (`sample`), scores (`assess`), tables and figures (`report`)."""

from goodricke.assessment.assess import Assessment, evaluate, number_edges, source

__all__ = ["Assessment", "evaluate", "number_edges", "source"]
