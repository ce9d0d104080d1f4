# Ruptures by rules, reports, observers and behaviour side by side.


rule compare_rupture_sources:
    input:
        sessions=rules.score.output.sessions,
        clients=rules.clean.output.clients,
        instruments=instrument_files,
        reliability=rules.estimate_reliability.output.reliability,
        found=of_all_ruptures("data/ruptures/{rupture}/sessions.parquet"),
        labels=of_all_ruptures("data/ruptures/{rupture}/clients.parquet"),
        summaries=of_all_ruptures("tables/ruptures/{rupture}/summary.csv"),
        thresholds=of_all_ruptures("tables/ruptures/{rupture}/thresholds.csv"),
        rules=all_rule_files,
    output:
        marks="results/{study}/data/rupture_sources/marks.parquet",
        sources="results/{study}/tables/rupture_sources/sources.csv",
        details="results/{study}/tables/rupture_sources/details.csv",
        cells="results/{study}/tables/rupture_sources/cells.csv",
        components="results/{study}/tables/rupture_sources/components.csv",
        agreement="results/{study}/tables/rupture_sources/agreement.csv",
        estimates="results/{study}/estimates/rupture_sources.csv",
    log:
        "results/{study}/logs/compare_rupture_sources.log",
    benchmark:
        "results/{study}/benchmarks/compare_rupture_sources.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(
            "id", "columns", "measures", "ruptures", "privacy", "timing", "seed"
        ),
        code=code_of("compare_rupture_sources.py"),
    message:
        "{wildcards.study}: sources of ruptures side by side"
    script:
        "../../scripts/compare_rupture_sources.py"


rule detect_discrete_drops:
    # Asked for by `discrete_drops: true`: a mixture with discrete drops against heavy tails.
    input:
        sessions=rules.score.output.sessions,
        instruments=instrument_files,
    output:
        models="results/{study}/tables/ruptures/{rupture}/tails.csv",
        classes="results/{study}/tables/ruptures/{rupture}/drop_classes.csv",
        probabilities="results/{study}/data/ruptures/{rupture}/drop_probabilities.parquet",
        estimates="results/{study}/estimates/discrete_drops/{rupture}.csv",
    log:
        "results/{study}/logs/detect_discrete_drops_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/detect_discrete_drops_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture("measures", "ruptures", "privacy", "seed"),
        code=code_of("detect_discrete_drops.py"),
    message:
        "{wildcards.study}: discrete ruptures or heavy tails, {wildcards.rupture}"
    script:
        "../../scripts/detect_discrete_drops.py"


rule recover_discrete_drops:
    # Simulated studies: how well the chances of a drop tell planted ruptures from other ratings.
    input:
        probabilities=rules.detect_discrete_drops.output.probabilities,
        classes=rules.detect_discrete_drops.output.classes,
        planted=planted_ruptures,
    output:
        recovery="results/{study}/tables/ruptures/{rupture}/drop_recovery.csv",
    log:
        "results/{study}/logs/recover_discrete_drops_{rupture}.log",
    benchmark:
        "results/{study}/benchmarks/recover_discrete_drops_{rupture}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_rupture("ruptures", "seed"),
        code=code_of("recover_discrete_drops.py"),
    message:
        "{wildcards.study}: planted ruptures and chances of a drop, {wildcards.rupture}"
    script:
        "../../scripts/recover_discrete_drops.py"
