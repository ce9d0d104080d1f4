# Methods and results as text for a manuscript, filled from the tables of the run.


rule write_manuscript:
    input:
        flow=rules.clean.output.flow,
        sample=rules.describe.output.sample,
        measures=rules.describe.output.measures,
        reliability=rules.estimate_reliability.output.reliability,
        change=rules.describe_change.output.change,
        estimates=rules.collect_estimates.output.estimates,
        triangulation=rules.collect_estimates.output.triangulation,
        bayes_checks=bayes_checks,
        ruptures=rupture_summaries,
        table_numbers=rules.write_tables.output.numbers,
        instruments=instrument_files,
        rules=rules_of_study,
        priors="config/priors.yaml",
        references=part_of_code("text/references.yaml"),
    output:
        methods="results/{study}/manuscript/methods.md",
        results="results/{study}/manuscript/results.md",
        document=report(
            "results/{study}/manuscript/manuscript.docx",
            caption="../report/manuscript.rst",
            category="{study}",
            subcategory="Manuscript",
            labels={"text": "methods and results"},
        ),
        checklists="results/{study}/manuscript/checklists.md",
        checklists_document=report(
            "results/{study}/manuscript/checklists.docx",
            caption="../report/checklists.rst",
            category="{study}",
            subcategory="Manuscript",
            labels={"text": "reporting checklists"},
        ),
        bibliography="results/{study}/manuscript/references.bib",
        csl="results/{study}/manuscript/references.json",
    log:
        "results/{study}/logs/write_manuscript.log",
    benchmark:
        "results/{study}/benchmarks/write_manuscript.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(*Study.model_fields),
        effort=run_config().effort,
        code=code_of("write_manuscript.py"),
    message:
        "{wildcards.study}: methods and results as text"
    script:
        "../../scripts/write_manuscript.py"
