# Further questions to a model (trend, components, moderators, raters), and the classic association
# of early alliance and the last outcome.


rule fit_variants:
    input:
        unpack(frames_of_variants),
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        instruments=instruments_of_variants,
    output:
        estimates="results/{study}/estimates/variants/{model}.csv",
    log:
        "results/{study}/logs/fit_variants_{model}.log",
    benchmark:
        "results/{study}/benchmarks/fit_variants_{model}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_variants(
            "measures", "models", "covariates", "timing", "privacy", "seed"
        ),
        trend=lambda wildcards: wants_trend(study_of(wildcards), wildcards.model),
        code=code_of("fit_variants.py"),
    message:
        "{wildcards.study}: variants of model {wildcards.model}"
    script:
        "../../scripts/fit_variants.py"


rule relate_early_alliance:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        instruments=instrument_files,
        published="data/published/effects.csv",
    output:
        estimates="results/{study}/estimates/associations/{association}.csv",
    log:
        "results/{study}/logs/relate_early_alliance_{association}.log",
    benchmark:
        "results/{study}/benchmarks/relate_early_alliance_{association}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_association(
            "measures", "associations", "covariates", "timing"
        ),
        code=code_of("relate_early_alliance.py"),
    message:
        "{wildcards.study}: early ratings and the last outcome, {wildcards.association}"
    script:
        "../../scripts/relate_early_alliance.py"
