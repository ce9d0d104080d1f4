"""Exact Gaussian likelihoods from sufficient statistics: pure numbers, no names of scales."""
