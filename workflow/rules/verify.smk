# The reviewer's check: is this run the published one? snakemake publish, snakemake verify.


# Without output, because what it writes are sources: reference values that are committed.
rule publish:
    input:
        estimates=expand("results/{study}/estimates.csv", study=runnable_studies()),
        figures=expand(
            "results/{study}/figures/{figure}.csv",
            study=runnable_studies(),
            figure=FIGURE_TABLES,
        ),
        tables=expand("results/{study}/tables/index.html", study=runnable_studies()),
    log:
        "results/logs/publish.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        studies=[
            write_excerpt(study_called(name), "id", "data", "simulated", "seed")
            for name in runnable_studies()
        ],
        effort=run_config().effort,
    message:
        "Keeping this run as the published one"
    script:
        "../../scripts/publish_study.py"


rule compare_run:
    input:
        published=published_values,
        estimates=rules.collect_estimates.output.estimates,
        figures=numbers_of_figures,
        tables=rules.write_tables.output.pages,
    output:
        comparison="results/verify/{study}/comparison.csv",
        parts="results/verify/{study}/parts.csv",
    log:
        "results/verify/{study}/compare_run.log",
    benchmark:
        "results/verify/{study}/compare_run.tsv"
    conda:
        ENVIRONMENT
    params:
        code=code_of("compare_run.py"),
    message:
        "{wildcards.study}: this run beside the published one"
    script:
        "../../scripts/compare_run.py"


rule write_verification:
    input:
        comparisons=expand(
            "results/verify/{study}/comparison.csv", study=published_studies()
        ),
        parts=expand("results/verify/{study}/parts.csv", study=published_studies()),
        templates=[
            part_of_code("report/templates/base.html"),
            part_of_code("report/templates/verify.html"),
            part_of_code("report/templates/items.html"),
            part_of_code("report/style.css"),
            part_of_code("tables/table.css"),
        ],
    output:
        page="results/verify/index.html",
    log:
        "results/verify/write_verification.log",
    benchmark:
        "results/verify/write_verification.tsv"
    conda:
        ENVIRONMENT
    params:
        studies=published_studies(),
        without=[n for n in runnable_studies() if n not in published_studies()],
        code=code_of("write_verification.py"),
    message:
        "Page of what is reproduced, figure by figure and number by number"
    script:
        "../../scripts/write_verification.py"


# Without output, so that the page of a failed verification stays to be read.
rule verify:
    input:
        comparisons=rules.write_verification.input.comparisons,
        page=rules.write_verification.output.page,
    log:
        "results/verify/verify.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        studies=published_studies(),
        without=rules.write_verification.params.without,
    script:
        "../../scripts/check_run.py"
