# Ruptures by rules, reports, observers and behaviour side by side.


rule compare_rupture_sources:
    input:
        sessions=rules.score.output.sessions,
        reliability=rules.estimate_reliability.output.reliability,
        found=of_all_ruptures("data/ruptures/{rupture}/sessions.parquet"),
        labels=of_all_ruptures("data/ruptures/{rupture}/clients.parquet"),
        summaries=of_all_ruptures("tables/ruptures/{rupture}/summary.csv"),
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
        study=sections("id", "columns", "measures", "ruptures", "privacy", "seed"),
        code=code_of("compare_rupture_sources.py"),
    message:
        "{wildcards.study}: sources of ruptures side by side"
    script:
        "../../scripts/compare_rupture_sources.py"
