"""A first draft of a study file, guessed from the data files; what is unsure is marked."""

from alliance.drafting.draft import Draft, draft_study
from alliance.drafting.writing import CHECK, study_text

__all__ = ["CHECK", "Draft", "draft_study", "study_text"]
