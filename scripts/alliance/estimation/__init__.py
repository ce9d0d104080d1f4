"""From a model frame to rows of estimates: designs, REML, independent checks, Bayes."""
