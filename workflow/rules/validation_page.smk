# What the validation found, on one page.


rule write_validation:
    input:
        sbc=[
            *expand(rules.validate_bayes.output.summary, size=BAYESIAN_SIZES),
            rules.validate_dynamics_bayes.output.summary,
        ],
        ranks=[
            *expand(rules.validate_bayes.output.ranks, size=BAYESIAN_SIZES),
            rules.validate_dynamics_bayes.output.ranks,
        ],
        bands=[
            *expand(rules.validate_bayes.output.bands, size=BAYESIAN_SIZES),
            rules.validate_dynamics_bayes.output.bands,
        ],
        reml=expand(rules.validate_reml.output.summary, size=REML_SIZES),
        dynamics=rules.validate_dynamics.output.recovery,
        ruptures=expand(rules.validate_ruptures.output.summary, design=RUPTURE_DESIGNS),
    output:
        page="results/validation/validation.md",
        picture="results/validation/validation_sbc.png",
        sbc="results/validation/sbc.csv",
        ranks="results/validation/sbc_ranks.csv",
        bands="results/validation/sbc_bands.csv",
        reml="results/validation/reml.csv",
    log:
        "results/validation/logs/write_validation.log",
    benchmark:
        "results/validation/benchmarks/write_validation.tsv"
    conda:
        ENVIRONMENT
    params:
        code=code_of("write_validation.py"),
    message:
        "Page of the calibration"
    script:
        "../../scripts/write_validation.py"


rule validate:
    input:
        rules.write_validation.output.page,
    localrule: True
