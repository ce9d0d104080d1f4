# What people read. Everything here is rendered from tables; nothing is estimated.

# The tables that each figure is drawn from (alliance.figures.FIGURES says how).
FIGURE_TABLES = {
    "data_flow": ["flow", "estimates"],
    "missingness": ["missingness"],
    "reliability": ["reliability"],
    "trajectories": ["trajectories", "sessions"],
    "variance_decomposition": ["measures", "estimates"],
    "within_between_slopes": ["estimates", "frame"],
    "forest": ["estimates", "published"],
    "trend_sensitivity": ["estimates"],
    "posterior": ["estimates", "draws", "priors"],
    "predictive_checks": ["predictive", "bayes_checks"],
    "client_slopes": ["slopes", "estimates"],
    "dynamics_paths": ["estimates"],
    "impulse_responses": ["estimates"],
    "dynamics_estimators": ["estimates"],
    "rupture_rules": ["rupture_summary"],
    "rupture_noise": ["rupture_noise"],
    "rupture_repair": ["estimates", "rupture_summary"],
    "rupture_agreement": ["rupture_agreement"],
    "rupture_timelines": [
        "rupture_sessions",
        "rupture_episodes",
        "rupture_clients",
        "rupture_summary",
    ],
    "drop_probabilities": [
        "drop_probabilities",
        "drop_classes",
        "estimates",
        "rupture_sessions",
        "drop_recovery",
        "rupture_summary",
    ],
}
FIGURE_FORMATS = sorted({"png", *run_config().figure_formats})


rule draw_figure:
    input:
        unpack(tables_of_figure),
    output:
        pictures=[
            report(
                f"results/{{study}}/figures/{{figure}}.{format}",
                caption="../report/figure.rst",
                category="{study}",
                subcategory="Figures",
                labels={"figure": "{figure}", "format": format},
            )
            for format in FIGURE_FORMATS
        ],
        numbers="results/{study}/figures/{figure}.csv",
        words="results/{study}/figures/{figure}.json",
    log:
        "results/{study}/logs/draw_figure_{figure}.log",
    benchmark:
        "results/{study}/benchmarks/draw_figure_{figure}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(
            "id",
            "title",
            "measures",
            "models",
            "associations",
            "dynamics",
            "ruptures",
            "timing",
            "privacy",
            "seed",
        ),
        formats=FIGURE_FORMATS,
        code=code_of("draw_figure.py"),
    message:
        "{wildcards.study}: figure {wildcards.figure}"
    script:
        "../../scripts/draw_figure.py"


rule write_tables:
    input:
        flow=rules.clean.output.flow,
        sample=rules.describe.output.sample,
        measures=rules.describe.output.measures,
        correlations=rules.describe.output.correlations,
        reliability=rules.estimate_reliability.output.reliability,
        estimates=rules.collect_estimates.output.estimates,
        bayes_checks=bayes_checks,
        ruptures=rupture_summaries,
        recoveries=rupture_recoveries,
        noise=of_all_ruptures("tables/ruptures/{rupture}/noise.csv"),
        rupture_sources=rupture_source_tables,
        truth=truth_of,
        style=part_of_code("tables/table.css"),
    output:
        index=report(
            "results/{study}/tables/index.html",
            caption="../report/tables.rst",
            category="{study}",
            subcategory="Tables",
            labels={"table": "all tables"},
        ),
        document="results/{study}/tables/tables.docx",
        numbers="results/{study}/tables/numbers.json",
        pages=report(
            directory("results/{study}/tables/apa"),
            patterns=["{table}.html"],
            caption="../report/table.rst",
            category="{study}",
            subcategory="Tables",
            labels={"table": "{table}"},
        ),
    log:
        "results/{study}/logs/write_tables.log",
    benchmark:
        "results/{study}/benchmarks/write_tables.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(
            "id",
            "title",
            "measures",
            "models",
            "associations",
            "dynamics",
            "ruptures",
            "sudden_gains",
            "privacy",
            "covariates",
        ),
        code=code_of("write_tables.py"),
    message:
        "{wildcards.study}: tables to paste into a manuscript"
    script:
        "../../scripts/write_tables.py"


# Beside the report and not in it: times differ from run to run, the report does not. It comes
# before the report, so that the link of the report resolves whatever was asked for.
rule write_run_times:
    input:
        estimates=rules.collect_estimates.output.estimates,
        change=rules.describe_change.output.change,
        pictures=expand("results/{{study}}/figures/{figure}.png", figure=FIGURE_TABLES),
        tables=rules.write_tables.output.index,
        templates=[
            part_of_code("report/templates/base.html"),
            part_of_code("report/templates/run_times.html"),
            part_of_code("report/style.css"),
            part_of_code("tables/table.css"),
        ],
    output:
        page="results/{study}/benchmarks/run_times.html",
        times="results/{study}/benchmarks/run_times.csv",
    log:
        "results/{study}/logs/write_run_times.log",
    benchmark:
        "results/{study}/benchmarks/write_run_times.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("id", "title"),
        code=code_of("write_run_times.py"),
    message:
        "{wildcards.study}: run times"
    script:
        "../../scripts/write_run_times.py"


rule write_report:
    input:
        gate=rules.accept_study.output.gate,
        flow=rules.clean.output.flow,
        cleaning_log=rules.clean.output.log,
        validation=rules.validate_data.output.problems,
        scoring_notes=rules.score.output.notes,
        anonymity=rules.describe.output.anonymity,
        reading=rules.deidentify.output.reading,
        ceiling=rules.describe.output.ceiling,
        change=rules.describe_change.output.change,
        sample=rules.describe.output.sample,
        measures=rules.describe.output.measures,
        correlations=rules.describe.output.correlations,
        reliability=rules.estimate_reliability.output.reliability,
        estimates=rules.collect_estimates.output.estimates,
        bayes_checks=bayes_checks,
        ruptures=rupture_summaries,
        recoveries=rupture_recoveries,
        noise=of_all_ruptures("tables/ruptures/{rupture}/noise.csv"),
        rupture_sources=rupture_source_tables,
        pictures=expand("results/{{study}}/figures/{figure}.png", figure=FIGURE_TABLES),
        words=expand("results/{{study}}/figures/{figure}.json", figure=FIGURE_TABLES),
        tables=rules.write_tables.output.index,
        run_times=rules.write_run_times.output.page,
        instruments=instrument_files,
        truth=truth_of,
        data=raw_files,
        templates=[
            part_of_code("report/templates/base.html"),
            part_of_code("report/templates/report.html"),
            part_of_code("report/templates/items.html"),
            part_of_code("report/style.css"),
            part_of_code("tables/table.css"),
        ],
    output:
        page=report(
            "results/{study}/report.html",
            caption="../report/study.rst",
            category="{study}",
            subcategory="Report",
            labels={"page": "the whole report"},
        ),
    log:
        "results/{study}/logs/write_report.log",
    benchmark:
        "results/{study}/benchmarks/write_report.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(*Study.model_fields),
        effort=run_config().effort,
        code=code_of("write_report.py"),
    message:
        "{wildcards.study}: the report"
    script:
        "../../scripts/write_report.py"
