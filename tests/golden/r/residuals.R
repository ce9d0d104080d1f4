# Golden values of models with structured residuals (nlme) and of slopes of therapists (lme4).
# Run from the project's folder: Rscript tests/golden/r/residuals.R
suppressPackageStartupMessages({library(nlme); library(jsonlite)})
results <- list()

parts <- function(name, therapists = FALSE) {
  d <- read.csv(file.path("tests/golden/residuals", paste0(name, ".csv")), stringsAsFactors = FALSE)
  m <- ave(d$predictor, d$client)
  one <- !duplicated(d$client)
  d$within <- d$predictor - m
  if (therapists) {
    tm <- tapply(m[one], d$therapist[one], mean)
    d$between <- m - tm[as.character(d$therapist)]
    d$between_therapist <- tm[as.character(d$therapist)] - mean(tm)
  } else d$between <- m - mean(m[one])
  d$phase <- ifelse(d$outcome_session <= 7, "early", "late")
  d
}
tight <- function(opt) lmeControl(opt = opt, maxIter = 500, msMaxIter = 2000, msMaxEval = 5000,
                                  tolerance = 1e-10, msTol = 1e-13, returnObject = TRUE)
two <- outcome ~ within + between + time

# The better of two optimisers; corAR1 with gaps fails under one of them now and then.
fit_one <- function(fixed, random, d, method, correlation, weights) {
  fits <- lapply(c("nlminb", "optim"), function(opt) tryCatch(suppressWarnings(
    do.call(lme, list(fixed, d, random, correlation = correlation, weights = weights,
                      method = method, control = tight(opt)))), error = function(e) NULL))
  fits <- Filter(Negate(is.null), fits)
  fits[[which.max(sapply(fits, logLik))]]
}

record <- function(id, data, fixed, random, method, correlation = NULL, weights = NULL,
                   profile = NULL) {
  fit <- fit_one(fixed, random, data, method, correlation, weights)
  deviance <- as.numeric(-2 * logLik(fit))
  out <- list(method = method, beta = unname(fixef(fit)), se = unname(sqrt(diag(vcov(fit)))),
              sigma = fit$sigma, deviance = deviance, n = nrow(data),
              independent = as.numeric(-2 * logLik(fit_one(fixed, random, data, method, NULL, NULL))))
  if (!is.list(random)) out$client_sd <- unname(sqrt(diag(as.matrix(getVarCov(fit)))))
  if (!is.null(correlation))
    out$rho <- unname(coef(fit$modelStruct$corStruct, unconstrained = FALSE))
  if (!is.null(weights)) {
    relative <- coef(fit$modelStruct$varStruct, unconstrained = FALSE, allCoef = TRUE)
    out$residual_sd <- as.list(fit$sigma * relative)
  }
  if (!is.null(profile)) {
    above <- function(r) as.numeric(-2 * logLik(fit_one(fixed, random, data, method, profile(r), weights))) -
      deviance - qchisq(0.95, 1)
    out$rho_low <- uniroot(above, c(out$rho - 0.5, out$rho), tol = 1e-6)$root
    out$rho_high <- uniroot(above, c(out$rho, min(out$rho + 0.4, 0.97)), tol = 1e-6)$root
  }
  results[[id]] <<- out
}
ar1 <- function() corAR1(form = ~ outcome_session | client)

gaps <- parts("gaps")
record("gaps_ri_reml", gaps, two, ~ 1 | client, "REML", ar1(),
       profile = function(r) corAR1(r, form = ~ outcome_session | client, fixed = TRUE))
record("gaps_slope_reml", gaps, two, ~ within | client, "REML", ar1())
record("gaps_continuous_ml", gaps, two, ~ within | client, "ML",
       corCAR1(form = ~ outcome_session | client))
record("negative_ri_reml", parts("negative"), two, ~ 1 | client, "REML", ar1())
unequal <- parts("unequal")
record("unequal_slope_reml", unequal, two, ~ within | client, "REML",
       weights = varIdent(form = ~ 1 | modality))
record("unequal_slope_ml", unequal, two, ~ within | client, "ML",
       weights = varIdent(form = ~ 1 | modality))
record("phases_both_reml", parts("phases"), two, ~ 1 | client, "REML", ar1(),
       varIdent(form = ~ 1 | phase))
three <- parts("therapists", TRUE)
record("therapists_reml", three, outcome ~ within + between + between_therapist + time,
       list(therapist = ~ 1, client = ~ within), "REML",
       corAR1(form = ~ outcome_session | therapist/client))

# Slopes of therapists: lme4 and Satterthwaite degrees of freedom.
suppressPackageStartupMessages({library(lme4); library(lmerTest)})
control <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6),
                       check.conv.singular = "ignore")
slopes <- function(id, formula, reml) {
  fit <- lmerTest::lmer(formula, three, REML = reml, control = control)
  s <- coef(summary(fit, ddf = "Satterthwaite"))
  upper <- VarCorr(fit)$therapist
  results[[id]] <<- list(
    method = if (reml) "REML" else "ML", beta = unname(s[, 1]), se = unname(s[, 2]),
    df = unname(s[, 3]), sigma = sigma(fit), deviance = as.numeric(-2 * logLik(fit)),
    n = nobs(fit), therapist_cov = matrix(as.numeric(upper), nrow(upper)),
    client_sd = unname(attr(VarCorr(fit)$client, "stddev")), singular = isSingular(fit))
}
slopes("therapist_slope_reml", outcome ~ within + between + between_therapist + time +
         (1 + within | client) + (1 + within | therapist), TRUE)
slopes("therapist_slope_ml", outcome ~ within + between + between_therapist + time +
         (1 + within | client) + (1 + within | therapist), FALSE)
slopes("therapist_time_reml", outcome ~ within + between + between_therapist + time +
         (1 | client) + (1 + within + time | therapist), TRUE)
write(toJSON(results, digits = NA, auto_unbox = TRUE, pretty = TRUE),
      "tests/golden/residuals/golden.json")
cat(length(results), "designs written\n")
