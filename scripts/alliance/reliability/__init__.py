"""Reliability of item scores within clients, between clients and in total.

Alpha and omega come from the pooled within-client covariance of the items, the latent
between-client covariance ``(S_between - S_within) / c`` and the plain covariance of all forms
(methods specification, section 4; Geldhof, Preacher & Zyphur, 2014). Rcn and RkRn come from the
variance components of ``answer = client + session(client) + error`` (Cranford et al., 2006;
Shrout & Lane, 2012; the nested model of ``psych::mlr``).

Everything is a function of sums by client, so the bootstrap over clients needs no second look at
the answers. Complete forms only; forms with a missing answer are left out and the counts say so.
"""

from alliance.reliability.coefficients import COEFFICIENTS, scale_reliability
from alliance.reliability.internal_consistency import alpha, fit_one_factor, omega_many
from alliance.reliability.lookup import EXPLORATORY_BELOW, coefficient_of, is_exploratory
from alliance.reliability.sums import ClientSums, client_sums, covariances
from alliance.reliability.table import COLUMNS, reliability_table
from alliance.reliability.variance_components import components, generalizability, one_way_reml

__all__ = [
    "COEFFICIENTS",
    "COLUMNS",
    "EXPLORATORY_BELOW",
    "ClientSums",
    "alpha",
    "client_sums",
    "coefficient_of",
    "components",
    "covariances",
    "fit_one_factor",
    "generalizability",
    "is_exploratory",
    "omega_many",
    "one_way_reml",
    "reliability_table",
    "scale_reliability",
]
