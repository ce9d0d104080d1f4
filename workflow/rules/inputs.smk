# Which files a rule needs, where that depends on the study file.


def raw_files(wildcards):
    """The data files of a study, in the order of its file."""
    files = data_files(study_of(wildcards), Path())
    reason = absent_open_data(study_of(wildcards), files)
    if reason:
        tell(reason)
        sys.exit(1)
    return [path.as_posix() for path in files.values()]


def instrument_files(wildcards):
    """The scoring keys that a study needs, or one of its analyses."""
    study = study_of(wildcards)
    measures = list(study.measures)
    if "model" in wildcards.keys():
        measures = parts_of_model(study, wildcards.model)["measures"]
    if "association" in wildcards.keys():
        measures = parts_of_association(study, wildcards.association)["measures"]
    if "dynamics" in wildcards.keys():
        measures = parts_of_dynamics(study, wildcards.dynamics)["measures"]
    if "rupture" in wildcards.keys():
        measures = parts_of_rupture(study, wildcards.rupture)["measures"]
    if "gains" in wildcards.keys():
        measures = parts_of_gains(study, wildcards.gains)["measures"]
    return [
        f"config/instruments/{name}.yaml" for name in instruments_of(study, measures)
    ]


def rule_files(wildcards):
    """The rupture rules that one rupture analysis names."""
    rules = study_of(wildcards).ruptures[wildcards.rupture].rules
    return [f"config/ruptures/{name}.yaml" for name in rules]


def of_all_ruptures(file):
    """A file of every rupture analysis of the study, in the order of the study file."""
    return lambda wildcards: [
        f"results/{wildcards.study}/{file.format(rupture=name)}"
        for name in study_of(wildcards).ruptures
    ]


def all_rule_files(wildcards):
    """The rupture rules of all rupture analyses, each once."""
    specs = study_of(wildcards).ruptures.values()
    return sorted({f"config/ruptures/{name}.yaml" for s in specs for name in s.rules})


def compares_ruptures(study):
    """Whether there is anything to compare: a rupture analysis, or a report of ruptures."""
    reports = any(getattr(study.columns, role) for role in RUPTURE_REPORTS)
    return bool(study.ruptures) or reports


def with_discrete_drops(study):
    """The rupture analyses that ask whether the rating falls in discrete drops."""
    return [name for name, spec in study.ruptures.items() if spec.discrete_drops]


def instruments_of_variants(wildcards):
    """The scoring keys of a model and of the model that it is compared with."""
    study = study_of(wildcards)
    measures = parts_of_variants(study, wildcards.model)["measures"]
    return [
        f"config/instruments/{name}.yaml" for name in instruments_of(study, measures)
    ]


def frames_of_variants(wildcards):
    """The frame of a model, and that of the model it is compared with."""
    folder = f"results/{wildcards.study}/data/models"
    other = study_of(wildcards).models[wildcards.model].compare_with
    frames = {"frame": f"{folder}/{wildcards.model}.parquet"}
    return frames | ({"other": f"{folder}/{other}.parquet"} if other else {})


def wants_trend(study, name):
    """Whether the sensitivity of a model to the course over time is looked at."""
    model = study.models[name]
    if model.sensitivity_to_trend is not None:
        return model.sensitivity_to_trend
    return name == headline_model(study) and model.form == "hybrid"


def models_with_variants(study):
    """The models that are asked more than the coefficients of the model itself."""
    return [
        name
        for name, model in study.models.items()
        if model.components
        or model.moderators
        or model.compare_with
        or wants_trend(study, name)
    ]


def models_with_twin(study):
    """Models that are fitted by Bayesian methods too."""
    return [
        name
        for name, model in study.models.items()
        if model.bayes and model.form != "within_only"
    ]


def parts_of_estimates(wildcards):
    """Every file of estimates that the study file asks for."""
    study = study_of(wildcards)
    folder = f"results/{wildcards.study}/estimates"
    mixed = {n: m for n, m in study.models.items() if m.form != "within_only"}
    bayesian = models_with_twin(study)
    sampled = [name for name, model in study.dynamics.items() if model.bayes]
    return [
        *(f"{folder}/reml/{name}.csv" for name in study.models),
        *(f"{folder}/mixedlm/{name}.csv" for name in mixed),
        *(f"{folder}/variants/{name}.csv" for name in models_with_variants(study)),
        *(f"{folder}/associations/{name}.csv" for name in study.associations),
        *(f"{folder}/bayes/{name}.csv" for name in bayesian),
        *(f"{folder}/dynamics/{name}.csv" for name in study.dynamics),
        *(f"{folder}/dynamics_bayes/{name}.csv" for name in sampled),
        *(f"{folder}/ruptures/{name}.csv" for name in study.ruptures),
        *(f"{folder}/discrete_drops/{name}.csv" for name in with_discrete_drops(study)),
        *(f"{folder}/sudden_gains/{name}.csv" for name in study.sudden_gains),
        *([f"{folder}/rupture_sources.csv"] if compares_ruptures(study) else []),
    ]


def priors_of_models(wildcards):
    """The priors of every Bayesian model, in the units of its estimates."""
    models = study_of(wildcards).models
    return [
        f"results/{wildcards.study}/bayes/{name}_priors.csv"
        for name, model in models.items()
        if model.bayes and model.form != "within_only"
    ]


def bayes_checks(wildcards):
    """The table of checks of every Bayesian model of a study."""
    return [
        f"results/{wildcards.study}/bayes/{name}_checks.csv"
        for name in models_with_twin(study_of(wildcards))
    ]


def headline_model(study):
    """The within/between model that is marked as headline, else the first; None without any."""
    candidates = {n: m for n, m in study.models.items() if m.kind == "within_between"}
    marked = [name for name, model in candidates.items() if model.headline]
    return (marked or list(candidates) or [None])[0]


def table_files(wildcards):
    """Every table that a figure or the report may need, by name; absent ones are left out."""
    study = study_of(wildcards)
    base = f"results/{wildcards.study}"
    files = {
        "flow": f"{base}/qc/flow.tsv",
        "estimates": f"{base}/estimates.csv",
        "sessions": f"{base}/data/scored/sessions.parquet",
        "published": "data/published/effects.csv",
        **{
            name: f"{base}/tables/{name}.csv"
            for name in ("measures", "missingness", "reliability", "trajectories")
        },
    }
    headline = headline_model(study)
    if headline:
        files["frame"] = f"{base}/data/models/{headline}.parquet"
    shown = headline or next(iter(study.models), None)
    if shown in models_with_twin(study):
        files["draws"] = f"{base}/bayes/{shown}_draws.parquet"
        files["priors"] = f"{base}/bayes/{shown}_priors.csv"
        files["bayes_checks"] = f"{base}/bayes/{shown}_checks.csv"
        files["predictive"] = f"{base}/bayes/{shown}_predictive.parquet"
        files["slopes"] = f"{base}/bayes/{shown}_slopes.csv"
    if study.ruptures:
        files["rupture_summary"] = rupture_summaries(wildcards)
        files["rupture_noise"] = [
            f"{base}/tables/ruptures/{name}/noise.csv" for name in study.ruptures
        ]
        for part in ("sessions", "episodes", "clients"):
            files[f"rupture_{part}"] = [
                f"{base}/data/ruptures/{name}/{part}.parquet" for name in study.ruptures
            ]
    dropping = with_discrete_drops(study)
    if dropping:
        folders = [f"ruptures/{name}/drop" for name in dropping]
        files["drop_probabilities"] = [
            f"{base}/data/{folder}_probabilities.parquet" for folder in folders
        ]
        files["drop_classes"] = [f"{base}/tables/{f}_classes.csv" for f in folders]
        if has_planted_ruptures(wildcards):
            files["drop_recovery"] = [
                f"{base}/tables/{f}_recovery.csv" for f in folders
            ]
    if compares_ruptures(study):
        files["rupture_agreement"] = f"{base}/tables/rupture_sources/agreement.csv"
    return files


def tables_of_figure(wildcards):
    files = table_files(wildcards)
    tables = {
        name: files[name] for name in FIGURE_TABLES[wildcards.figure] if name in files
    }
    # A figure without any table says why it is not drawn, but not before the data are accepted.
    return tables or {"flow": files["flow"]}


def truth_of(wildcards):
    """The truth of a simulated study, as an input that may be absent."""
    truth = study_of(wildcards).truth
    return [truth] if truth else []


def planted_ruptures(wildcards):
    """The ruptures planted in a simulated study, beside its truth."""
    return Path(study_of(wildcards).truth).with_name("ruptures.csv").as_posix()


def has_planted_ruptures(wildcards):
    """Whether the study is simulated with ruptures that are known."""
    truth = study_of(wildcards).truth
    return bool(truth) and Path(planted_ruptures(wildcards)).is_file()


def rupture_recoveries(wildcards):
    """Planted ruptures found, for each rupture analysis of a simulated study."""
    study = study_of(wildcards)
    if not has_planted_ruptures(wildcards):
        return []
    return [
        f"results/{wildcards.study}/tables/ruptures/{name}/recovery.csv"
        for name in study.ruptures
    ]


def rules_of_study(wildcards):
    """Every rupture rule that the study names, once."""
    analyses = study_of(wildcards).ruptures.values()
    names = dict.fromkeys(name for spec in analyses for name in spec.rules)
    return [f"config/ruptures/{name}.yaml" for name in names]


def number_of_rupture_studies(wildcards):
    """A share of 5 % needs more simulated studies than power does."""
    if run_config().validation != "full":
        return 4
    return 1000 if wildcards.design == "no_ruptures" else 300


def rupture_source_tables(wildcards):
    """Ruptures by other sources, where the study has any."""
    folder = f"results/{wildcards.study}/tables/rupture_sources"
    parts = ("sources", "details", "cells", "agreement", "components")
    known = compares_ruptures(study_of(wildcards))
    return [f"{folder}/{part}.csv" for part in parts] if known else []


def rupture_summaries(wildcards):
    return [
        f"results/{wildcards.study}/tables/ruptures/{name}/summary.csv"
        for name in study_of(wildcards).ruptures
    ]


BENCHMARKS = "data/published/benchmarks.yaml"


def published_data(wildcards):
    """The open data files that are here; a result whose data are absent is said to be so."""
    # Imported here, so that runs of studies do not wait for the estimators to load.
    from alliance.study import resolve_path
    from alliance.verification import read_benchmarks

    data = or_stop(read_benchmarks, BENCHMARKS).data.values()
    paths = [resolve_path(entry, Path()) for entry in data]
    return [path.as_posix() for path in paths if path is not None]


def published_sources(wildcards):
    """Where the open data files can be had."""
    from alliance.verification import open_data_as_study, read_benchmarks

    data = or_stop(read_benchmarks, BENCHMARKS).data
    return {"published results": write_excerpt(open_data_as_study(data), "data")}


def published_studies():
    """The studies of this run that have published reference values."""
    return [
        name
        for name in runnable_studies()
        if Path(f"data/published/{name}/estimates.csv").is_file()
    ]


def published_values(wildcards):
    """The files of the reference values: sources, which no rule of a verification makes."""
    files = Path(f"data/published/{wildcards.study}").rglob("*")
    return sorted(path.as_posix() for path in files if path.is_file())


def numbers_of_figures(wildcards):
    """The numbers behind each figure of a study."""
    return [
        f"results/{wildcards.study}/figures/{figure}.csv" for figure in FIGURE_TABLES
    ]
