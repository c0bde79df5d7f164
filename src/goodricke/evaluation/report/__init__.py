"""The report on an assessment as a page: a module for each section, `build` puts them together."""
