# Ruptures and repairs by declared rules, and what they have to do with outcome.


rule calibrate_thresholds:
    # Rules that ask for it: the threshold at which noise alone flags a given share of clients.
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        reliability=rules.estimate_reliability.output.reliability,
        rules=rule_files,
        instruments=instrument_files,
    output:
        thresholds="results/{study}/tables/ruptures/{rupture}/thresholds.csv",
    log:
        "results/{study}/logs/calibrate_thresholds_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/calibrate_thresholds_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture(
            "measures", "ruptures", "privacy", "timing", "seed", labels=False
        ),
        code=code_of("calibrate_thresholds.py"),
    message:
        "{wildcards.study}: thresholds for the noise of the study, {wildcards.rupture}"
    script:
        "../../scripts/calibrate_thresholds.py"


rule detect_ruptures:
    input:
        sessions=rules.score.output.sessions,
        reliability=rules.estimate_reliability.output.reliability,
        thresholds=rules.calibrate_thresholds.output.thresholds,
        rules=rule_files,
        instruments=instrument_files,
    output:
        sessions="results/{study}/data/ruptures/{rupture}/sessions.parquet",
        episodes="results/{study}/data/ruptures/{rupture}/episodes.parquet",
        clients="results/{study}/data/ruptures/{rupture}/clients.parquet",
        summary="results/{study}/tables/ruptures/{rupture}/summary.csv",
        agreement="results/{study}/tables/ruptures/{rupture}/agreement.csv",
    log:
        "results/{study}/logs/detect_ruptures_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/detect_ruptures_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture("id", "measures", "ruptures", "privacy", labels=False),
        code=code_of("detect_ruptures.py"),
    message:
        "{wildcards.study}: ruptures and repairs, {wildcards.rupture}"
    script:
        "../../scripts/detect_ruptures.py"


rule recover_ruptures:
    # Simulated studies: what each rule finds of the ruptures that were planted.
    input:
        found=rules.detect_ruptures.output.sessions,
        labels=rules.detect_ruptures.output.clients,
        planted=planted_ruptures,
        rules=rule_files,
    output:
        recovery="results/{study}/tables/ruptures/{rupture}/recovery.csv",
    log:
        "results/{study}/logs/recover_ruptures_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/recover_ruptures_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture("ruptures"),
        code=code_of("recover_ruptures.py"),
    message:
        "{wildcards.study}: planted ruptures found, {wildcards.rupture}"
    script:
        "../../scripts/recover_ruptures.py"


rule calibrate_ruptures:
    # What noise alone gives: rules and tests on data sets without ruptures.
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        reliability=rules.estimate_reliability.output.reliability,
        summary=rules.detect_ruptures.output.summary,
        thresholds=rules.calibrate_thresholds.output.thresholds,
        rules=rule_files,
        instruments=instrument_files,
    output:
        noise="results/{study}/tables/ruptures/{rupture}/noise.csv",
        model="results/{study}/tables/ruptures/{rupture}/null_model.csv",
        statistics="results/{study}/data/ruptures/{rupture}/null.parquet",
    log:
        "results/{study}/logs/calibrate_ruptures_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/calibrate_ruptures_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture(
            "measures", "ruptures", "privacy", "timing", "seed", labels=False
        ),
        code=code_of("calibrate_ruptures.py"),
    message:
        "{wildcards.study}: what noise alone gives, {wildcards.rupture}"
    script:
        "../../scripts/calibrate_ruptures.py"


rule test_ruptures:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        reliability=rules.estimate_reliability.output.reliability,
        found=rules.detect_ruptures.output.sessions,
        labels=rules.detect_ruptures.output.clients,
        summary=rules.detect_ruptures.output.summary,
        noise=rules.calibrate_ruptures.output.noise,
        model=rules.calibrate_ruptures.output.model,
        statistics=rules.calibrate_ruptures.output.statistics,
        thresholds=rules.calibrate_thresholds.output.thresholds,
        published="data/published/effects.csv",
        rules=rule_files,
        instruments=instrument_files,
    output:
        estimates="results/{study}/estimates/ruptures/{rupture}.csv",
    log:
        "results/{study}/logs/test_ruptures_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/test_ruptures_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture("measures", "ruptures", "privacy", "timing", "seed"),
        code=code_of("test_ruptures.py"),
    message:
        "{wildcards.study}: ruptures and outcome, {wildcards.rupture}"
    script:
        "../../scripts/test_ruptures.py"
