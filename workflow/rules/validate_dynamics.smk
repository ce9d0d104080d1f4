# Is the dynamic model calibrated? Simulated clients; no data of any study is used.


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
        samples=1000 if FULL else 4,
        code=code_of("validate_dynamics.py"),
    message:
        "Recovery of the dynamic model, {params.samples} samples per design"
    shell:
        "python {params.script} --replications {params.samples} --processes {threads}"
        " --output {output.recovery} 2> {log}"


rule validate_dynamics_bayes:
    output:
        summary="results/validation/sbc/random_intercept_var.csv",
        ranks="results/validation/sbc/random_intercept_var_ranks.csv",
        bands="results/validation/sbc/random_intercept_var_bands.csv",
    log:
        "results/validation/logs/validate_dynamics_bayes.log",
    benchmark:
        "results/validation/benchmarks/validate_dynamics_bayes.tsv"
    conda:
        ENVIRONMENT
    params:
        fits=1000 if FULL else 20,
        seed=SEED_OF_VALIDATION,
        code=code_of("validate_dynamics_bayes.py"),
    message:
        "Simulation-based calibration of the Bayesian random-intercept VAR"
    script:
        "../../scripts/validate_dynamics_bayes.py"
