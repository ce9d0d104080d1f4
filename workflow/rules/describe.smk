# What the data are like before anything is modelled.


rule describe:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        instruments=instrument_files,
    output:
        measures="results/{study}/tables/measures.csv",
        correlations="results/{study}/tables/correlations.csv",
        missingness="results/{study}/tables/missingness.csv",
        sample="results/{study}/tables/sample.csv",
        trajectories="results/{study}/tables/trajectories.csv",
        ceiling="results/{study}/tables/ceiling.csv",
        anonymity="results/{study}/qc/k_anonymity.tsv",
    log:
        "results/{study}/logs/describe.log",
    benchmark:
        "results/{study}/benchmarks/describe.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("measures", "covariates", "privacy", "seed"),
        code=code_of("describe_study.py"),
    message:
        "{wildcards.study}: describing sample and scales"
    script:
        "../../scripts/describe_study.py"


rule estimate_reliability:
    input:
        sessions=rules.score.output.sessions,
        instruments=instrument_files,
    output:
        reliability="results/{study}/tables/reliability.csv",
    log:
        "results/{study}/logs/estimate_reliability.log",
    benchmark:
        "results/{study}/benchmarks/estimate_reliability.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("measures", "seed"),
        code=code_of("estimate_reliability.py"),
    message:
        "{wildcards.study}: reliability within and between clients"
    script:
        "../../scripts/estimate_reliability.py"


rule describe_change:
    input:
        sessions=rules.score.output.sessions,
        reliability=rules.estimate_reliability.output.reliability,
        instruments=instrument_files,
    output:
        change="results/{study}/tables/reliable_change.csv",
    log:
        "results/{study}/logs/describe_change.log",
    benchmark:
        "results/{study}/benchmarks/describe_change.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("measures", "privacy"),
        code=code_of("describe_change.py"),
    message:
        "{wildcards.study}: reliable change of single clients"
    script:
        "../../scripts/describe_change.py"
