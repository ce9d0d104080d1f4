# Times brms (Stan) on the data of run.py: compilation apart from sampling.
# Usage: Rscript brms.R data.csv      prints one line of JSON
suppressMessages({library(brms); library(posterior)})
if (dir.exists("/usr/include/boost")) rstan::rstan_options(boost_lib = "/usr/include")  # Debian
data <- read.csv(commandArgs(trailingOnly = TRUE)[1])
formula <- y ~ within + between + time + (1 + within | client)
compiling <- system.time(
  empty <- brm(formula, data, chains = 0, refresh = 0, silent = 2)
)[["elapsed"]]
sampling <- system.time(
  fit <- update(empty, chains = 4, cores = 2, iter = 2000, warmup = 1000, seed = 1,
                refresh = 0, silent = 2, recompile = FALSE)
)[["elapsed"]]
draws <- as_draws_array(fit, variable = c("^b_", "^sd_", "^cor_", "sigma"), regex = TRUE)
ess <- min(summarise_draws(draws, "ess_bulk")$ess_bulk)
cat(sprintf(
  '{"clients": %d, "compile": %.3f, "sampling": %.3f, "min_bulk_ess": %.1f, "ess_per_s": %.3f}\n',
  length(unique(data$client)), compiling, sampling, ess, ess / sampling
))
