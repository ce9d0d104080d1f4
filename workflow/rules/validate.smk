# Are the estimators calibrated? Simulated studies of known truth; no data of any study is used.

FULL = run_config().validation == "full"
SEED_OF_VALIDATION = 20261122
BAYESIAN_SIZES = ["two_level", "three_level"]
RUPTURE_DESIGNS = ["no_ruptures", "planted_no_effect", "planted_effect_0_5"]
REML_SIZES = [*BAYESIAN_SIZES, "two_level_small", "three_level_small"]


rule validate_bayes:
    # Simulation-based calibration: ranks of drawn parameters among their posterior draws.
    output:
        summary="results/validation/sbc/{size}.csv",
        ranks="results/validation/sbc/{size}_ranks.csv",
        bands="results/validation/sbc/{size}_bands.csv",
    log:
        "results/validation/logs/validate_bayes_{size}.log",
    benchmark:
        "results/validation/benchmarks/validate_bayes_{size}.tsv"
    conda:
        ENVIRONMENT
    params:
        fits=1000 if FULL else 20,
        seed=SEED_OF_VALIDATION,
        code=code_of("validate_bayes.py"),
    message:
        "Simulation-based calibration of the Bayesian model, {wildcards.size}"
    script:
        "../../scripts/validate_bayes.py"


rule validate_reml:
    # Bias, coverage of intervals, and type-I error.
    output:
        summary="results/validation/reml/{size}.csv",
    log:
        "results/validation/logs/validate_reml_{size}.log",
    benchmark:
        "results/validation/benchmarks/validate_reml_{size}.tsv"
    conda:
        ENVIRONMENT
    params:
        studies=2000 if FULL else 20,
        profiled=500 if FULL else 2,
        seed=SEED_OF_VALIDATION,
        code=code_of("validate_reml.py"),
    message:
        "Calibration of REML, {wildcards.size}"
    script:
        "../../scripts/validate_reml.py"


rule validate_ruptures:
    # Size and power of the tests of ruptures against outcome and drop-out.
    input:
        rules=expand(
            "config/ruptures/{rule}.yaml",
            rule=[
                "mean_prior_study",
                "mean_prior_study_fixed",
                "previous_drop",
                "own_mean",
            ],
        ),
    output:
        summary="results/validation/ruptures/{design}.csv",
        tests="results/validation/ruptures/{design}_tests.csv",
    log:
        "results/validation/logs/validate_ruptures_{design}.log",
    benchmark:
        "results/validation/benchmarks/validate_ruptures_{design}.tsv"
    conda:
        ENVIRONMENT
    params:
        studies=number_of_rupture_studies,
        null_datasets=199 if FULL else 119,
        seed=SEED_OF_VALIDATION,
        code=code_of("validate_ruptures.py"),
    message:
        "Ruptures against outcome in simulated studies, {wildcards.design}"
    script:
        "../../scripts/validate_ruptures.py"
