# Published results, obtained from the original data: snakemake reproduce.


rule download_published:
    input:
        benchmarks=BENCHMARKS,
    log:
        "results/reproduce/logs/download_published.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        studies=published_sources,
    script:
        "../../scripts/download_data.py"


rule compare_published:
    input:
        benchmarks=BENCHMARKS,
        data=published_data,
    output:
        comparison="results/reproduce/comparison.csv",
    log:
        "results/reproduce/logs/compare_published.log",
    benchmark:
        "results/reproduce/benchmarks/compare_published.tsv"
    conda:
        ENVIRONMENT
    params:
        code=code_of("reproduce_published.py"),
    message:
        "Obtaining published numbers from the original data"
    script:
        "../../scripts/reproduce_published.py"


rule write_reproduction:
    input:
        benchmarks=BENCHMARKS,
        data=published_data,
        comparison=rules.compare_published.output.comparison,
        templates=[
            part_of_code("report/templates/base.html"),
            part_of_code("report/templates/reproduce.html"),
            part_of_code("report/templates/items.html"),
            part_of_code("report/style.css"),
            part_of_code("tables/table.css"),
        ],
    output:
        page="results/reproduce/index.html",
        pictures=expand(
            "results/reproduce/reproduction.{format}", format=FIGURE_FORMATS
        ),
        numbers="results/reproduce/reproduction.csv",
    log:
        "results/reproduce/logs/write_reproduction.log",
    benchmark:
        "results/reproduce/benchmarks/write_reproduction.tsv"
    conda:
        ENVIRONMENT
    params:
        formats=FIGURE_FORMATS,
        code=code_of("write_reproduction.py"),
    message:
        "Page of published and obtained numbers"
    script:
        "../../scripts/write_reproduction.py"


# Without output, so that the page of a failed comparison stays to be read.
rule reproduce:
    input:
        comparison=rules.compare_published.output.comparison,
        page=rules.write_reproduction.output.page,
    log:
        "results/reproduce/logs/reproduce.log",
    localrule: True
    conda:
        ENVIRONMENT
    script:
        "../../scripts/check_reproduction.py"
