# From session to session: what alliance and outcome predict of each other beyond the client's own
# course, by maximum likelihood and its Bayesian twin.


rule fit_dynamics:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        reliability=rules.estimate_reliability.output.reliability,
        instruments=instrument_files,
    output:
        estimates="results/{study}/estimates/dynamics/{dynamics}.csv",
    log:
        "results/{study}/logs/fit_dynamics_{dynamics}.log",
    benchmark:
        "results/{study}/benchmarks/fit_dynamics_{dynamics}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_dynamics("measures", "dynamics", "timing", "seed"),
        code=code_of("fit_dynamics.py"),
    message:
        "{wildcards.study}: dynamic model {wildcards.dynamics}, maximum likelihood"
    script:
        "../../scripts/fit_dynamics.py"


rule fit_dynamics_bayes:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        reliability=rules.estimate_reliability.output.reliability,
        instruments=instrument_files,
        priors="config/priors.yaml",
    output:
        posterior="results/{study}/bayes/{dynamics}_dynamics.nc",
        draws="results/{study}/bayes/{dynamics}_dynamics_draws.parquet",
        priors="results/{study}/bayes/{dynamics}_dynamics_priors.csv",
        estimates="results/{study}/estimates/dynamics_bayes/{dynamics}.csv",
    log:
        "results/{study}/logs/fit_dynamics_bayes_{dynamics}.log",
    benchmark:
        "results/{study}/benchmarks/fit_dynamics_bayes_{dynamics}.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    params:
        study=sections_of_dynamics("measures", "dynamics", "timing", "seed"),
        effort=lambda wildcards: run_config().effort,
        code=code_of("fit_dynamics_bayes.py"),
    message:
        "{wildcards.study}: dynamic model {wildcards.dynamics}, Bayesian"
    script:
        "../../scripts/fit_dynamics_bayes.py"
