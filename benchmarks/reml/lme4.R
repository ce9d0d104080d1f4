# Time lme4 with its defaults: Rscript lme4.R data.csv therapists(0/1) repetitions
suppressPackageStartupMessages({library(lme4); library(jsonlite)})
arguments <- commandArgs(trailingOnly = TRUE)
d <- read.csv(arguments[1], stringsAsFactors = TRUE)
formula <- if (arguments[2] == "1") {
  outcome ~ within + between + between_therapist + time + (1 + within | client) + (1 | therapist)
} else outcome ~ within + between + time + (1 + within | client)
seconds <- c()
for (i in seq_len(as.integer(arguments[3]))) {
  used <- system.time(fit <- suppressWarnings(lmer(formula, d)))
  seconds[i] <- used[["user.self"]] + used[["sys.self"]]
}
cat(toJSON(list(seconds = seconds, beta = unname(fixef(fit))), digits = NA), "\n")
