# Are the estimators calibrated? Simulated studies of known truth; no data of any study is used.

FULL = run_config().validation == "full"
SEED_OF_VALIDATION = 20261122
BAYESIAN_SIZES = ["two_level", "three_level"]
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
            rule=["mean_prior", "mean_prior_fixed", "previous_drop", "own_mean"],
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
        studies=1000 if FULL else 4,
        null_datasets=199 if FULL else 119,
        seed=SEED_OF_VALIDATION,
        code=code_of("validate_ruptures.py"),
    message:
        "Ruptures against outcome in simulated studies, {wildcards.design}"
    script:
        "../../scripts/validate_ruptures.py"


rule validate_dynamics:
    # Recovery of the dynamic model and its comparators.
    output:
        recovery="results/validation/dynamics.csv",
    log:
        "results/validation/logs/validate_dynamics.log",
    benchmark:
        "results/validation/benchmarks/validate_dynamics.tsv"
    conda:
        ENVIRONMENT
    threads: 2
    params:
        script=(SCRIPTS / "validate_dynamics.py").relative_to(SCRIPTS.parent).as_posix(),
        samples=200 if FULL else 4,
        code=code_of("validate_dynamics.py"),
    message:
        "Recovery of the dynamic model, {params.samples} samples per design"
    shell:
        "python {params.script} --replications {params.samples} --processes {threads}"
        " --output {output.recovery} 2> {log}"


rule write_validation:
    input:
        sbc=expand(rules.validate_bayes.output.summary, size=BAYESIAN_SIZES),
        ranks=expand(rules.validate_bayes.output.ranks, size=BAYESIAN_SIZES),
        bands=expand(rules.validate_bayes.output.bands, size=BAYESIAN_SIZES),
        reml=expand(rules.validate_reml.output.summary, size=REML_SIZES),
        dynamics=rules.validate_dynamics.output.recovery,
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
