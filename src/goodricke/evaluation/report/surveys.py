"""The section on surveys: scores in their own labels, periods beside catalogs, what embeddings know of the survey."""

from __future__ import annotations

from goodricke.evaluation.assessment import Assessment
from goodricke.evaluation.page import Rows, Section
from goodricke.evaluation.period_scores import period_rows
from goodricke.evaluation.survey_scores import leak_rows, survey_notes, survey_rows

OWN, PERIODS, LEAK = "each survey in its own labels", "periods that agree with the catalog's", "the survey guessed"


def has_surveys(result: Assessment) -> bool:
    """Return whether there is anything to say of surveys or periods."""
    return any(result.survey_records(name) for name in result.models)


def surveys_section(result: Assessment) -> Section:
    """Return the scores of each survey and of periods, for each model."""
    tables: dict[str, Rows] = {}
    notes: list[str] = []
    for name in result.models:
        records = result.survey_records(name)
        if "by_survey" in records:
            tables[f"{name}: {OWN}"] = survey_rows(records["by_survey"])
            notes += [note for note in survey_notes(records["by_survey"]) if note not in notes]
        if "periods" in records:
            tables[f"{name}: {PERIODS}"] = period_rows(records["periods"])
        if "survey_leak" in records:
            tables[f"{name}: {LEAK}, from the embedding of stars of one leaf"] = leak_rows(records["survey_leak"])
    return Section(
        "Surveys and periods",
        "surveys that score worse than the others, and labels whose periods are no better than the highest peak.",
        "a survey that is guessed from the embedding much more often than by chance: the network may use it.",
        tables=tables,
        notes=notes,
    )
