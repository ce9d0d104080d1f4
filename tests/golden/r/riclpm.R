# Random-intercept cross-lagged panel models by lavaan, for tests/test_dynamics.py.
# Run from the project's folder: Rscript tests/golden/r/riclpm.R
# Coefficients and residual (co)variances are equal over sessions, the first session is free.

suppressPackageStartupMessages(library(lavaan))
n_sessions <- 5
folder <- "tests/golden/riclpm"

riclpm <- function(order, trend) {
  s <- seq_len(n_sessions)
  lines <- c(
    paste("ia =~", paste0("1*a", s, collapse = " + ")),
    paste("iy =~", paste0("1*y", s, collapse = " + "))
  )
  if (trend) {
    time <- s - (n_sessions + 1) / 2
    lines <- c(
      lines,
      paste("sa =~", paste0(time, "*a", s, collapse = " + ")),
      paste("sy =~", paste0(time, "*y", s, collapse = " + ")),
      "ia ~~ iy + sa + sy", "iy ~~ sa + sy", "sa ~~ sy", "sa ~~ sa", "sy ~~ sy"
    )
  } else {
    lines <- c(lines, "ia ~~ iy")
  }
  lines <- c(
    lines, "ia ~~ ia", "iy ~~ iy",
    paste0("wa", s, " =~ 1*a", s), paste0("wy", s, " =~ 1*y", s),
    paste0("a", s, " ~~ 0*a", s), paste0("y", s, " ~~ 0*y", s),
    paste0("a", s, " ~ 1"), paste0("y", s, " ~ 1"),
    "wa1 ~~ wa1", "wy1 ~~ wy1", "wa1 ~~ wy1"
  )
  for (t in 2:n_sessions) {
    lines <- c(
      lines,
      sprintf("wy%d ~ phi_y*wy%d + beta*wa%d", t, t - 1, t - 1),
      sprintf("wa%d ~ phi_a*wa%d + gamma*wy%d", t, t - 1, if (order == "recursive") t else t - 1),
      sprintf("wa%d ~~ q_a*wa%d", t, t), sprintf("wy%d ~~ q_y*wy%d", t, t)
    )
    if (order == "same_occasion") lines <- c(lines, sprintf("wa%d ~~ q_ay*wy%d", t, t))
  }
  paste(lines, collapse = "\n")
}

run <- function(name, file, order, trend) {
  data <- read.csv(file.path(folder, file))
  fit <- lavaan(
    riclpm(order, trend), data = data, missing = "fiml", information = "observed",
    estimator = "ML", control = list(iter.max = 5000)
  )
  stopifnot(lavInspect(fit, "converged"))
  wanted <- c("phi_a", "phi_y", "beta", "gamma", "q_a", "q_y", "q_ay")
  estimates <- parameterEstimates(fit)
  labelled <- estimates[estimates$label %in% wanted & !duplicated(estimates$label), ]
  client <- estimates[estimates$lhs %in% c("ia", "iy", "sa", "sy") & estimates$op == "~~", ]
  first <- estimates[estimates$lhs %in% c("wa1", "wy1") & estimates$op == "~~", ]
  unlabelled <- rbind(client, first)
  rows <- data.frame(
    model = name,
    term = c(labelled$label, paste0(unlabelled$lhs, "_", unlabelled$rhs), "log_likelihood"),
    estimate = c(labelled$est, unlabelled$est, as.numeric(fitMeasures(fit, "logl"))),
    se = c(labelled$se, unlabelled$se, NA)
  )
  rows
}

golden <- rbind(
  run("same_occasion", "balanced.csv", "same_occasion", FALSE),
  run("recursive", "balanced.csv", "recursive", FALSE),
  run("recursive_trend", "balanced.csv", "recursive", TRUE),
  run("recursive_missing", "missing.csv", "recursive", FALSE)
)
golden$estimate <- formatC(golden$estimate, digits = 8, format = "f")
golden$se <- ifelse(is.na(golden$se), "", formatC(golden$se, digits = 8, format = "f"))
write.csv(golden, file.path(folder, "lavaan.csv"), row.names = FALSE, quote = FALSE)
