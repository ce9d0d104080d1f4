"""A first draft of a study file, guessed from the data files; what is unsure is marked."""

from alliance.drafting.draft import Draft, draft_study
from alliance.drafting.writing import study_text
from alliance.study import CHECK

__all__ = ["CHECK", "Draft", "draft_study", "study_text"]
