# Golden values for tests/test_reliability.py, from psych, nlme, lme4 and lavaan.
# Run from the project's folder: Rscript tests/golden/r/reliability.R
# Writes tests/golden/reliability/{balanced,unbalanced}.csv (fixtures) and golden.csv.
# Made with R 4.2.2, psych 2.2.9.
suppressPackageStartupMessages({library(psych); library(nlme); library(lme4); library(lavaan)})
folder <- "tests/golden/reliability"
set.seed(20261122)

# Answers on 1-7, not all items equally good, with client, session and item variance.
make <- function(n_sessions) {
  loading <- c(1.0, 0.9, 0.7, 1.1, 0.6)
  rows <- lapply(seq_along(n_sessions), function(client) {
    person <- rnorm(1, 0, 1.0)
    own <- rnorm(5, 0, 0.6)
    t(sapply(seq_len(n_sessions[client]), function(session) {
      state <- rnorm(1, 0, 0.8)
      answers <- 4 + c(0.4, 0, -0.3, 0.2, -0.3) + loading * (person + state) + own + rnorm(5, 0, 0.7)
      c(client, session, pmin(7, pmax(1, round(answers))))
    }))
  })
  data <- as.data.frame(do.call(rbind, rows))
  names(data) <- c("client", "session", paste0("item", 1:5))
  data
}

omega_ml <- function(S, n) {
  dimnames(S) <- list(paste0("item", 1:5), paste0("item", 1:5))
  model <- paste("f =~", paste(colnames(S), collapse = " + "))
  fit <- cfa(model, sample.cov = S, sample.nobs = n, std.lv = TRUE, sample.cov.rescale = FALSE)
  est <- lavInspect(fit, "est")
  sum(est$lambda)^2 / (sum(est$lambda)^2 + sum(diag(est$theta)))
}

omega_fa <- function(S, n) {
  fit <- fa(cov2cor(S), nfactors = 1, n.obs = n, fm = "ml")
  scale <- sqrt(diag(S))
  loading <- as.vector(fit$loadings) * scale
  sum(loading)^2 / (sum(loading)^2 + sum(fit$uniquenesses * scale^2))
}

golden <- function(name, data) {
  x <- as.matrix(data[paste0("item", 1:5)])
  groups <- split(as.data.frame(x), data$client)
  size <- sapply(groups, nrow)
  N <- sum(size); G <- length(size)
  within <- Reduce(`+`, lapply(groups, function(g) crossprod(scale(g, scale = FALSE)))) / (N - G)
  centre <- colMeans(x)
  means <- t(sapply(groups, colMeans))
  deviation <- sweep(means, 2, centre)
  S_b <- crossprod(deviation * sqrt(size)) / (G - 1)
  between <- (S_b - within) / ((N - sum(size^2) / N) / (G - 1))
  total <- cov(x)
  dimnames(within) <- dimnames(between) <- dimnames(total)
  rows <- list()
  add <- function(level, coefficient, estimate, by)
    rows[[length(rows) + 1]] <<- data.frame(
      fixture = name, level = level, coefficient = coefficient, estimate = estimate, by = by)
  for (part in list(list("total", total, N), list("within_client", within, N - G),
                    list("between_client", between, G))) {
    add(part[[1]], "alpha", psych::alpha(part[[2]])$total$raw_alpha, "psych::alpha")
    add(part[[1]], "omega", omega_ml(part[[2]], part[[3]]), "lavaan::cfa")
    add(part[[1]], "omega", omega_fa(part[[2]], part[[3]]), "psych::fa")
  }
  long <- reshape(data, direction = "long", varying = paste0("item", 1:5), v.names = "value",
                  timevar = "item", idvar = c("client", "session"))
  long$client <- factor(long$client); long$session <- factor(long$session)
  fit <- lmer(value ~ 1 + (1 | client / session), data = long, REML = TRUE,
              control = lmerControl(optCtrl = list(xtol_rel = 1e-12, ftol_abs = 1e-14)))
  vc <- VarCorr(fit)
  p <- vc$client[1]; t <- vc[["session:client"]][1]; e <- sigma(fit)^2
  add("variance", "client", p, "lme4::lmer")
  add("variance", "session", t, "lme4::lmer")
  add("variance", "residual", e, "lme4::lmer")
  score <- lmer(m ~ 1 + (1 | client), data = data.frame(m = rowMeans(x), client = data$client),
                REML = TRUE)
  add("score", "variance_between", VarCorr(score)$client[1], "lme4::lmer")
  add("score", "variance_within", sigma(score)^2, "lme4::lmer")
  m <- suppressWarnings(mlr(data, grp = "client", Time = "session", items = paste0("item", 1:5),
                            alpha = FALSE, aov = FALSE, lme = TRUE, lmer = FALSE))
  add("psych", "Rcn", m$Rcn, "psych::mlr")
  add("psych", "RkRn", m$RkRn, "psych::mlr")
  k <- 1 / mean(1 / size)
  add("within_client", "Rcn", t / (t + e / 5), "lme4::lmer")
  add("between_client", "RkRn", p / (p + t / k + e / (5 * k)), "lme4::lmer, harmonic mean k")
  do.call(rbind, rows)
}

balanced <- make(rep(6, 60))
unbalanced <- make(rep(c(2, 3, 5, 8, 12), 16))
write.csv(balanced, file.path(folder, "balanced.csv"), row.names = FALSE, quote = FALSE)
write.csv(unbalanced, file.path(folder, "unbalanced.csv"), row.names = FALSE, quote = FALSE)
all <- rbind(golden("balanced", balanced), golden("unbalanced", unbalanced))
all$estimate <- sprintf("%.10f", all$estimate)
write.csv(all, file.path(folder, "golden.csv"), row.names = FALSE, quote = TRUE)
