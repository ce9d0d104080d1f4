# Alliance predicting outcome: one model frame per model, three estimators on the same frame, one
# tidy table of estimates.


rule split_within_between:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        instruments=instrument_files,
    output:
        frame="results/{study}/data/models/{model}.parquet",
    log:
        "results/{study}/logs/split_within_between_{model}.log",
    benchmark:
        "results/{study}/benchmarks/split_within_between_{model}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_model(
            "measures", "models", "covariates", "timing", labels=False
        ),
        code=code_of("split_within_between.py"),
    message:
        "{wildcards.study}: within- and between-client parts, model {wildcards.model}"
    script:
        "../../scripts/split_within_between.py"


rule fit_reml:
    input:
        frame=rules.split_within_between.output.frame,
        instruments=instrument_files,
    output:
        estimates="results/{study}/estimates/reml/{model}.csv",
    log:
        "results/{study}/logs/fit_reml_{model}.log",
    benchmark:
        "results/{study}/benchmarks/fit_reml_{model}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_model("measures", "models", "covariates", "timing", "seed"),
        code=code_of("fit_reml.py"),
    message:
        "{wildcards.study}: multilevel model {wildcards.model}, REML"
    script:
        "../../scripts/fit_reml.py"


rule fit_mixedlm:
    # The independent check by statsmodels.
    input:
        frame=rules.split_within_between.output.frame,
        instruments=instrument_files,
    output:
        estimates="results/{study}/estimates/mixedlm/{model}.csv",
    log:
        "results/{study}/logs/fit_mixedlm_{model}.log",
    benchmark:
        "results/{study}/benchmarks/fit_mixedlm_{model}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_model("measures", "models", "covariates", "timing", "seed"),
        code=code_of("fit_mixedlm.py"),
    message:
        "{wildcards.study}: multilevel model {wildcards.model}, statsmodels"
    script:
        "../../scripts/fit_mixedlm.py"


rule fit_bayes:
    input:
        frame=rules.split_within_between.output.frame,
        instruments=instrument_files,
        priors="config/priors.yaml",
    output:
        posterior="results/{study}/bayes/{model}.nc",
        draws="results/{study}/bayes/{model}_draws.parquet",
        priors="results/{study}/bayes/{model}_priors.csv",
        checks="results/{study}/bayes/{model}_checks.csv",
        predictive="results/{study}/bayes/{model}_predictive.parquet",
        slopes="results/{study}/bayes/{model}_slopes.csv",
        estimates="results/{study}/estimates/bayes/{model}.csv",
    log:
        "results/{study}/logs/fit_bayes_{model}.log",
    benchmark:
        "results/{study}/benchmarks/fit_bayes_{model}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    params:
        study=sections_of_model(
            "measures", "models", "covariates", "timing", "seed", "privacy"
        ),
        effort=lambda wildcards: run_config().effort,
        code=code_of("fit_bayes.py"),
    message:
        "{wildcards.study}: multilevel model {wildcards.model}, Bayesian"
    script:
        "../../scripts/fit_bayes.py"


rule collect_estimates:
    input:
        parts=parts_of_estimates,
        priors=priors_of_models,
        reliability=rules.estimate_reliability.output.reliability,
    output:
        estimates="results/{study}/estimates.csv",
        triangulation="results/{study}/tables/triangulation.csv",
    log:
        "results/{study}/logs/collect_estimates.log",
    benchmark:
        "results/{study}/benchmarks/collect_estimates.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("id", "models", "measures", "privacy"),
        code=code_of("collect_estimates.py"),
    message:
        "{wildcards.study}: one table of all estimates"
    script:
        "../../scripts/collect_estimates.py"
