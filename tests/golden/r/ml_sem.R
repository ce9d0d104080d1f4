# Dynamic panel models with a predetermined predictor by lavaan, for tests/test_ml_sem.py.
# Run from the project's folder: Rscript tests/golden/r/ml_sem.R
# The parameterisation is that of the package dpm: a client effect with loadings of one, free
# covariances among the client effect, the first score and all predictors, free error variances,
# and free covariances of an error with the predictors of later sessions.

suppressPackageStartupMessages(library(lavaan))
n_sessions <- 5
folder <- "tests/golden/riclpm"

# y: the series with an equation. lag: 1 if it depends on the other one's previous session, 0 if on
# the same one.
model <- function(y, x, lag) {
  s <- 2:n_sessions
  used <- paste0(x, s - lag)
  lines <- c(
    paste("effect =~", paste0("1*", y, s, collapse = " + ")),
    sprintf("%s%d ~ phi*%s%d + beta*%s%d", y, s, y, s - 1, x, s - lag),
    sprintf("%s%d ~~ %s%d", y, s, y, s), "effect ~~ effect",
    paste0(c(used, paste0(y, 1)), " ~~ ", c(used, paste0(y, 1))),
    paste("effect ~~", paste(c(used, paste0(y, 1)), collapse = " + ")),
    paste0(c(used, paste0(y, c(1, s))), " ~ 1"), "effect ~ 0"
  )
  exogenous <- c(paste0(y, 1), used)
  for (j in 2:length(exogenous)) {
    lines <- c(lines, paste(exogenous[j], "~~", paste(exogenous[seq_len(j - 1)], collapse = " + ")))
  }
  for (t in 3:n_sessions) {
    lines <- c(lines, paste0(x, t - lag, " ~~ ", y, 2:(t - 1)))
  }
  paste(lines, collapse = "\n")
}

run <- function(name, file, y, x, lag) {
  data <- read.csv(file.path(folder, file))
  fit <- lavaan(
    model(y, x, lag), data = data, missing = "fiml", information = "observed",
    estimator = "ML", control = list(iter.max = 5000)
  )
  stopifnot(lavInspect(fit, "converged"))
  estimates <- parameterEstimates(fit)
  kept <- estimates[estimates$label %in% c("phi", "beta") & !duplicated(estimates$label), ]
  data.frame(
    model = name,
    term = c(kept$label, "log_likelihood", "n_parameters"),
    estimate = c(kept$est, as.numeric(fitMeasures(fit, "logl")), as.numeric(fitMeasures(fit, "npar"))),
    se = c(kept$se, NA, NA)
  )
}

golden <- rbind(
  run("forward", "balanced.csv", "y", "a", 1),
  run("reverse_same_session", "balanced.csv", "a", "y", 0),
  run("forward_missing", "missing.csv", "y", "a", 1)
)
golden$estimate <- formatC(golden$estimate, digits = 8, format = "f")
golden$se <- ifelse(is.na(golden$se), "", formatC(golden$se, digits = 8, format = "f"))
write.csv(golden, file.path(folder, "lavaan_ml_sem.csv"), row.names = FALSE, quote = FALSE)
