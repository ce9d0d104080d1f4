# From the user's files to clean, scored sessions. Nothing that identifies a person passes
# `deidentify`; every change made by `clean` is logged.


rule download:
    log:
        "results/logs/download.log",
    localrule: True
    conda:
        ENVIRONMENT
    # Openly licensed data of the listed studies, checked by their sha256.
    params:
        studies=lambda wildcards: {
            name: write_excerpt(study, "data")
            for name, study in listed_studies().items()
        },
    script:
        "../../scripts/download_data.py"


SECTIONS_OF_VALIDATION = (
    "id",
    "data",
    "columns",
    "timing",
    "measures",
    "covariates",
    "cleaning",
    "privacy",
    "models",
    "ruptures",
    "sudden_gains",
    "dynamics",
)


rule validate_data:
    input:
        data=raw_files,
        instruments=instrument_files,
    output:
        problems="results/{study}/qc/validation.tsv",
    log:
        "results/{study}/logs/validate.log",
    benchmark:
        "results/{study}/benchmarks/validate.tsv"
    # Before the gate, so that the list of problems is there when the gate refuses.
    priority: 1
    conda:
        ENVIRONMENT
    params:
        study=sections(*SECTIONS_OF_VALIDATION, labels=False),
        marks=marks_of_draft,
        known_instruments=known_instruments("config/instruments"),
        key=mark_of_key,
        code=code_of("validate_data.py"),
    message:
        "{wildcards.study}: looking for problems in the data"
    script:
        "../../scripts/validate_data.py"


rule accept_data:
    # The gate of the data: what follows runs only on data without errors. It looks at the data
    # alone, so that an edited model or cleaning rule does not open it, and everything behind it,
    # again. (`ancient` inputs would do so too, but hide changes of the data from what follows.)
    input:
        data=raw_files,
        instruments=instrument_files,
    output:
        gate=touch("results/{study}/qc/accepted_data"),
    log:
        "results/{study}/logs/accept_data.log",
    conda:
        ENVIRONMENT
    params:
        study=sections(
            *SECTIONS_OF_VALIDATION,
            labels=False,
            only={
                "models": [],
                "ruptures": [],
                "sudden_gains": [],
                "dynamics": [],
                "cleaning": [],
                "privacy": ["pseudonyms"],
            },
        ),
        code=code_of("accept_data.py"),
    message:
        "{wildcards.study}: may the data be used?"
    script:
        "../../scripts/accept_data.py"


rule accept_study:
    # The gate of the report: no report of a study whose file or data have errors of any kind.
    input:
        problems=rules.validate_data.output.problems,
    output:
        gate=touch("results/{study}/qc/accepted_study"),
    log:
        "results/{study}/logs/accept_study.log",
    localrule: True
    conda:
        ENVIRONMENT
    params:
        code=code_of("accept_study.py"),
    message:
        "{wildcards.study}: may the study be reported?"
    script:
        "../../scripts/accept_study.py"


rule deidentify:
    input:
        data=raw_files,
        instruments=instrument_files,
        gate=rules.accept_data.output.gate,
    output:
        sessions="results/{study}/data/deidentified/sessions.parquet",
        clients="results/{study}/data/deidentified/clients.parquet",
        joins="results/{study}/qc/joined_files.tsv",
        reading="results/{study}/qc/reading.txt",
    log:
        "results/{study}/logs/deidentify.log",
    benchmark:
        "results/{study}/benchmarks/deidentify.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(
            "id",
            "data",
            "columns",
            "measures",
            "covariates",
            "privacy",
            labels=False,
            only={"privacy": ["pseudonyms"]},
        ),
        key=mark_of_key,
        code=code_of("deidentify_data.py"),
    message:
        "{wildcards.study}: replacing identifiers and dates"
    script:
        "../../scripts/deidentify_data.py"


rule clean:
    input:
        sessions=rules.deidentify.output.sessions,
        clients=rules.deidentify.output.clients,
        instruments=instrument_files,
    output:
        sessions="results/{study}/data/clean/sessions.parquet",
        clients="results/{study}/data/clean/clients.parquet",
        log="results/{study}/qc/cleaning_log.tsv",
        flow="results/{study}/qc/flow.tsv",
    log:
        "results/{study}/logs/clean.log",
    benchmark:
        "results/{study}/benchmarks/clean.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections(
            "measures", "columns", "timing", "cleaning", "covariates", labels=False
        ),
        code=code_of("clean_sessions.py"),
    message:
        "{wildcards.study}: cleaning, every change logged"
    script:
        "../../scripts/clean_sessions.py"


rule score:
    input:
        sessions=rules.clean.output.sessions,
        as_read=rules.deidentify.output.sessions,
        instruments=instrument_files,
    output:
        sessions="results/{study}/data/scored/sessions.parquet",
        notes="results/{study}/qc/scoring.tsv",
    log:
        "results/{study}/logs/score.log",
    benchmark:
        "results/{study}/benchmarks/score.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections("id", "measures", labels=False),
        code=code_of("score_scales.py"),
    message:
        "{wildcards.study}: scoring the instruments"
    script:
        "../../scripts/score_scales.py"
