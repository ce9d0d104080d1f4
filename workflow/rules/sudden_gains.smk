# Sudden gains and losses of any measure (Tang & DeRubeis 1999).


rule find_sudden_gains:
    input:
        sessions=rules.score.output.sessions,
        instruments=instrument_files,
    output:
        changes="results/{study}/data/sudden_gains/{gains}.parquet",
        estimates="results/{study}/estimates/sudden_gains/{gains}.csv",
    log:
        "results/{study}/logs/find_sudden_gains_{gains}.log",
    benchmark:
        "results/{study}/benchmarks/find_sudden_gains_{gains}.tsv"
    conda:
        ENVIRONMENT
    params:
        study=sections_of_gains("measures", "sudden_gains", "privacy"),
        code=code_of("find_sudden_gains.py"),
    message:
        "{wildcards.study}: sudden gains and losses, {wildcards.gains}"
    script:
        "../../scripts/find_sudden_gains.py"
