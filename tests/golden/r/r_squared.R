# Golden values of explained variance: the formulas of Rights & Sterba (2019) on lme4 fits, written
# anew (they are also those of the R package r2mlm). Predictors are centred within clients.
# Run from the project's folder: Rscript tests/golden/r/r_squared.R
suppressPackageStartupMessages({library(lme4); library(jsonlite)})

d <- read.csv("tests/golden/lmm/two_level.csv", stringsAsFactors = FALSE)
m <- ave(d$predictor, d$client)
d$within <- d$predictor - m
d$between <- m - mean(m[!duplicated(d$client)])
control <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))

parts <- function(fit, random) {
  b <- fixef(fit)
  T <- as.matrix(VarCorr(fit)$client)
  gw <- b["within"]; gb <- b["between"]
  phi_w <- var(d$within); phi_b <- var(d$between)
  f1 <- as.numeric(gw * phi_w * gw)
  f2 <- as.numeric(gb * phi_b * gb)
  v <- 0
  if (random) {
    S <- matrix(0, 2, 2); S[2, 2] <- phi_w  # intercept and the slope's predictor
    v <- sum(diag(S) * diag(T)) + 2 * sum(S[lower.tri(S)] * T[lower.tri(T)])
  }
  list(f1 = f1, f2 = f2, v = v, m = T[1, 1], residual = sigma(fit)^2)
}
out <- list(
  intercept = parts(lmer(outcome ~ within + between + (1 | client), d, control = control), FALSE),
  slope = parts(lmer(outcome ~ within + between + (1 + within | client), d, control = control), TRUE))
write(toJSON(out, digits = 12, auto_unbox = TRUE, pretty = TRUE), "tests/golden/lmm/r_squared.json")
