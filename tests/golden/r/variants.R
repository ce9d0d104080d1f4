# Golden values of variants of a model: a moderated model by lme4 (Wald F from its covariance matrix,
# simple slopes), a partial correlation by lm, and errors robust by therapist by clubSandwich.
# Run from the project's folder: Rscript tests/golden/r/variants.R
suppressPackageStartupMessages({library(lme4); library(jsonlite); library(clubSandwich)})

d <- read.csv("tests/golden/lmm/two_level.csv", stringsAsFactors = FALSE)
m <- ave(d$predictor, d$client)
d$within <- d$predictor - m
d$between <- m - mean(m[!duplicated(d$client)])
d$modality <- relevel(factor(d$modality), ref = "CBT")
control <- lmerControl(optimizer = "bobyqa", calc.derivs = FALSE,
                       optCtrl = list(rhobeg = 0.2, rhoend = 1e-10, maxfun = 1e6))
fit <- lmer(outcome ~ time + (within + between) * modality + (1 + within | client), d,
            control = control)
b <- fixef(fit); V <- as.matrix(vcov(fit))
wald <- function(part) {
  at <- grep(paste0("^", part, ":modality|^modality.*:", part, "$"), names(b))
  c(F = as.numeric(b[at] %*% solve(V[at, at], b[at])) / length(at), df1 = length(at))
}
slope <- function(category) {
  w <- as.numeric(names(b) == "within") + as.numeric(names(b) == paste0("within:modality", category))
  c(estimate = sum(w * b), se = sqrt(as.numeric(w %*% V %*% w)))
}
out <- list(
  within = as.list(wald("within")), between = as.list(wald("between")),
  psychodynamic = as.list(slope("psychodynamic")), CBT = as.list(slope("none")))

# One row per client: first rating, last outcome, mean outcome of the first two rows held equal.
one <- do.call(rbind, lapply(split(d, d$client), function(x) {
  x <- x[order(x$time), ]
  data.frame(x = x$predictor[1], y = x$outcome[nrow(x)], z = mean(x$outcome[1:2]))
}))
one <- one[!is.na(one$z), ]
t <- summary(lm(y ~ x + z, one))$coefficients["x", ]
df <- nrow(one) - 3
out$partial <- list(
  r = unname(t["t value"] / sqrt(t["t value"]^2 + df)), slope = unname(t["Estimate"]),
  se = unname(t["Std. Error"]), p = unname(t["Pr(>|t|)"]), n = nrow(one))

# The same with therapists: CR2 errors and Satterthwaite degrees of freedom.
three <- read.csv("tests/golden/lmm/three_level.csv", stringsAsFactors = FALSE)
one <- do.call(rbind, lapply(split(three, three$client), function(x) {
  x <- x[order(x$time), ]
  data.frame(x = x$predictor[1], y = x$outcome[nrow(x)], z = mean(x$outcome[1:2]),
             therapist = x$therapist[1])
}))
one <- one[!is.na(one$z), ]
robust <- function(d) {
  test <- coef_test(lm(y ~ x + z, d), vcov = "CR2", cluster = d$therapist, test = "Satterthwaite")
  test <- as.data.frame(test)["x", ]
  list(slope = test$beta, se = test$SE, df = test$df, p = test$p_Satt, n = nrow(d))
}
out$robust <- robust(one)
# Few and uneven: clients of the first twelve therapists, half of them with one of these alone.
few <- one[one$therapist %in% sprintf("T%02d", 0:11), ]
few$therapist[few$therapist %in% sprintf("T%02d", 0:5)] <- "T00"
out$robust_few <- robust(few)
write(toJSON(out, digits = 12, auto_unbox = TRUE, pretty = TRUE), "tests/golden/lmm/variants.json")
