# Golden values of multilevel models: lme4 + lmerTest with tight tolerances, nlme as a second opinion.
# Run from the project's folder: Rscript tests/golden/r/lmm.R
# Reads tests/golden/lmm/*.csv and, where present, the published data in ../shared/data.
suppressPackageStartupMessages({library(lme4); library(lmerTest); library(nlme); library(jsonlite)})

tight <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                     optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6),
                     check.conv.singular = "ignore", check.nobs.vs.nRE = "ignore",
                     check.nobs.vs.nlev = "ignore", check.conv.grad = "ignore")
results <- list()

mean_of <- function(x, g) ave(x, g)

# Within and between parts, computed here independently of the project.
split_parts <- function(d, therapists = FALSE) {
  m <- ave(d$predictor, d$client)
  one <- !duplicated(d$client)
  d$within <- d$predictor - m
  if (!therapists) {
    d$between <- m - mean(m[one])
  } else {
    tm <- tapply(m[one], d$therapist[one], mean)
    d$between <- m - tm[as.character(d$therapist)]
    d$between_therapist <- tm[as.character(d$therapist)] - mean(tm)
  }
  d$expectancy_c <- d$expectancy - mean(d$expectancy[one])
  d$psychodynamic <- as.numeric(d$modality == "psychodynamic")
  d$systemic <- as.numeric(d$modality == "systemic")
  d$raw <- d$predictor - mean(m[one])
  d
}

record <- function(id, formula, d, reml, group = "client") {
  fits <- lapply(list(NULL, "again"), function(again) {
    control <- tight
    if (!is.null(again)) control$optCtrl$rhobeg <- 0.02
    suppressWarnings(suppressMessages(
      lmerTest::lmer(formula, d, REML = reml, control = control)))
  })
  fit <- fits[[which.min(sapply(fits, function(f) as.numeric(-2 * logLik(f))))]]
  s <- coef(summary(fit, ddf = "Satterthwaite"))
  vc <- VarCorr(fit)
  client <- vc[[group]]
  out <- list(
    formula = paste(deparse(formula, width.cutoff = 500), collapse = ""), reml = reml,
    names = rownames(s), beta = unname(s[, 1]), se = unname(s[, 2]), df = unname(s[, 3]),
    random = rownames(client), client_cov = matrix(as.numeric(client), nrow(client)),
    sigma = sigma(fit), deviance = as.numeric(-2 * logLik(fit)), n = nobs(fit),
    singular = isSingular(fit))
  if ("therapist" %in% names(vc)) out$sd_therapist <- as.numeric(attr(vc$therapist, "stddev"))
  results[[id]] <<- out
  invisible(fit)
}

second <- function(id, fixed, random, d, method) {
  fit <- tryCatch(suppressWarnings(lme(fixed, d, random, method = method, control = lmeControl(
      opt = "optim", maxIter = 500, msMaxIter = 500, tolerance = 1e-10, msTol = 1e-12,
      returnObject = TRUE))), error = function(e) NULL)
  if (!is.null(fit)) results[[id]]$nlme <<- list(
    beta = unname(fixef(fit)), se = unname(sqrt(diag(vcov(fit)))), sigma = fit$sigma,
    deviance = as.numeric(-2 * logLik(fit)))
}

fixture <- function(name) read.csv(file.path("tests/golden/lmm", paste0(name, ".csv")),
                                   stringsAsFactors = FALSE)

two <- split_parts(fixture("two_level"))
record("two_ri_reml", outcome ~ within + between + time + (1 | client), two, TRUE)
second("two_ri_reml", outcome ~ within + between + time, ~ 1 | client, two, "REML")
record("two_ri_ml", outcome ~ within + between + time + (1 | client), two, FALSE)
record("two_slope_reml", outcome ~ within + between + time + (1 + within | client), two, TRUE)
second("two_slope_reml", outcome ~ within + between + time, ~ within | client, two, "REML")
record("two_slope_ml", outcome ~ within + between + time + (1 + within | client), two, FALSE)
second("two_slope_ml", outcome ~ within + between + time, ~ within | client, two, "ML")
for (id in c("two_ri_ml", "two_slope_ml")) {
  fit <- if (id == "two_ri_ml") lme4::lmer(outcome ~ within + between + time + (1 | client), two,
                                           REML = FALSE, control = tight)
         else lme4::lmer(outcome ~ within + between + time + (1 + within | client), two,
                         REML = FALSE, control = tight)
  ci <- suppressWarnings(suppressMessages(
    confint(fit, parm = "theta_", oldNames = FALSE, quiet = TRUE)))
  results[[id]]$profile <- list(rows = rownames(ci), low = unname(ci[, 1]), high = unname(ci[, 2]))
}
blups <- lme4::lmer(outcome ~ within + between + time + (1 + within | client), two, control = tight)
variances <- attr(ranef(blups, condVar = TRUE)$client, "postVar")
results$two_slope_reml$clients <- rownames(ranef(blups)$client)
results$two_slope_reml$slopes <- coef(blups)$client$within
results$two_slope_reml$slope_sd <- sqrt(variances[2, 2, ])
record("two_three_effects_reml",
       outcome ~ within + between + time + (1 + within + time | client), two, TRUE)
record("two_covariates_reml", outcome ~ within + between + time + expectancy_c + psychodynamic +
         systemic + within:psychodynamic + within:systemic + (1 + within | client), two, TRUE)
record("two_contextual_reml", outcome ~ raw + between + time + (1 | client), two, TRUE)
record("two_course_reml", outcome ~ time + (1 + time | client), two, TRUE)

singular <- split_parts(fixture("singular"))
record("singular_slope_reml", outcome ~ within + between + time + (1 + within | client), singular, TRUE)
record("singular_ri_ml", outcome ~ within + between + time + (1 | client), singular, FALSE)
flat <- split_parts(fixture("no_client_variance"))
record("zero_ri_reml", outcome ~ within + between + time + (1 | client), flat, TRUE)
record("zero_slope_ml", outcome ~ within + between + time + (1 + within | client), flat, FALSE)
singular_slope <- split_parts(fixture("singular_slope"))
record("singular_correlation_reml", outcome ~ within + between + time + (1 + within | client),
       singular_slope, TRUE)

three <- split_parts(fixture("three_level"), TRUE)
record("three_ri_reml", outcome ~ within + between + between_therapist + time + (1 | client) +
         (1 | therapist), three, TRUE)
record("three_slope_reml", outcome ~ within + between + between_therapist + time +
         (1 + within | client) + (1 | therapist), three, TRUE)
record("three_slope_ml", outcome ~ within + between + between_therapist + time +
         (1 + within | client) + (1 | therapist), three, FALSE)

blups <- lme4::lmer(outcome ~ within + between + between_therapist + time + (1 | client) +
                      (1 | therapist), three, control = tight)
results$three_ri_reml$clients <- rownames(ranef(blups)$client)
results$three_ri_reml$levels <- ranef(blups)$client[, 1]

single <- split_parts(fixture("single_session"))
record("single_session_reml", outcome ~ within + between + time + (1 + within | client), single, TRUE)
second("single_session_reml", outcome ~ within + between + time, ~ within | client, single, "REML")

# Published data (not committed with the project; the numbers below are).
shared <- "../shared/data"
if (dir.exists(shared)) {
  lines <- sub("\x1a+", "", readLines(file.path(shared, "reisby/riesby.dat.txt"), warn = FALSE), useBytes = TRUE)
  reisby <- read.table(text = lines[nzchar(trimws(lines))], na.strings = ".",
                       col.names = c("client", "hamd", "one", "week", "endog", "product"))
  reisby <- reisby[!is.na(reisby$hamd), ]
  record("reisby_slope_ml", hamd ~ week + (1 + week | client), reisby, FALSE)
  record("reisby_ri_reml", hamd ~ week + (1 | client), reisby, TRUE)
  record("reisby_endogenous_ml", hamd ~ week + endog + week:endog + (1 + week | client), reisby, FALSE)

  plasma <- read.table(file.path(shared, "reisby/RIESBYT4.dat"),
                       col.names = c("client", "change", "one", "week", "sex", "endog", "lnimi", "lndmi"))
  for (v in c("lnimi", "lndmi")) {
    plasma[[paste0(v, "_b")]] <- mean_of(plasma[[v]], plasma$client)
    plasma[[paste0(v, "_w")]] <- plasma[[v]] - plasma[[paste0(v, "_b")]]
  }
  record("plasma_ml", change ~ week + lnimi + lndmi + (1 + week | client), plasma, FALSE)
  record("plasma_split_ml", change ~ week + lnimi_b + lndmi_b + lnimi_w + lndmi_w +
           (1 + week | client), plasma, FALSE)

  wage <- read.csv(file.path(shared, "wagedata/WageData.csv"))
  wage$client <- wage$id
  for (v in c("wks", "union", "ms", "occ")) {
    wage[[paste0(v, "_b")]] <- mean_of(wage[[v]], wage$client)
    wage[[paste0(v, "_w")]] <- wage[[v]] - wage[[paste0(v, "_b")]]
  }
  record("wage_reml", lwage ~ wks_w + union_w + ms_w + occ_w + wks_b + union_b + ms_b + occ_b +
           blk + fem + (1 | client), wage, TRUE)

  sg <- read.csv(file.path(shared, "sgdata/sgdata.csv"))
  long <- do.call(rbind, lapply(0:12, function(s) data.frame(
    client = sg$id, session = s, bdi = sg[[paste0("bdi_s", s)]], rq = sg[[paste0("rq_s", s)]])))
  long <- long[!is.na(long$bdi) & !is.na(long$rq), ]
  long$between <- mean_of(long$rq, long$client)
  long$within <- long$rq - long$between
  record("sgdata_reml", bdi ~ session + within + between + (1 | client), long, TRUE)

  trial <- read.csv(file.path(shared, "refra_med/reframed_minimised.csv"), stringsAsFactors = FALSE)
  trial$month <- suppressWarnings(as.numeric(trial$month))
  trial <- trial[!is.na(trial$month) & trial$month <= 12 & !is.na(trial$phq9), ]
  trial$client <- trial$patient
  known <- !is.na(trial$therapist) & nzchar(trial$therapist)
  trial$therapist <- ifelse(known, trial$therapist, paste0("alone ", trial$patient))
  trial$tau <- as.numeric(trial$grp == "TAU")
  record("refra_med_reml", phq9 ~ month + tau + month:tau + (1 + month | client) + (1 | therapist),
         trial, TRUE)
}

write(toJSON(results, digits = NA, auto_unbox = TRUE, pretty = TRUE), "tests/golden/lmm/lme4.json")
cat(length(results), "designs written\n")
