# What the rules share: the studies of this run, and what a result depends on.

import hashlib
import os
import platform
import shutil
import sys
from functools import cache
from pathlib import Path

SCRIPTS = Path(workflow.basedir).parent / "scripts"
sys.path.insert(0, str(SCRIPTS))

from alliance.instruments import known_instruments
from alliance.machine_code import drop_outdated
from alliance.problems import StudyError, describe_problems, read_problems
from alliance.provenance import code_hash, file_hash
from alliance.study import (
    Study,
    absent_open_data,
    collect_studies,
    data_files,
    instruments_of,
    lines_to_check,
    parts_of_association,
    parts_of_dynamics,
    parts_of_model,
    parts_of_gains,
    parts_of_rupture,
    parts_of_variants,
    read_run_config,
    write_excerpt,
)
from alliance.study.rupture_sources import RUPTURE_REPORTS

LOCK = SCRIPTS.parent / "requirements.lock"
ENVIRONMENT = "../../environment.yml"


def tell(message):
    """Say something once: jobs read this file again, and stay silent."""
    if workflow.is_main_process:
        print(message, file=sys.stderr, flush=True)


if workflow.is_main_process:
    drop_outdated(SCRIPTS / "alliance")


def or_stop(read, *arguments):
    """The result of ``read``, or the end of the run with all problems in plain words."""
    try:
        return read(*arguments)
    except StudyError as error:
        tell(f"\n{error}\n")
        sys.exit(1)


@cache
def run_config():
    return or_stop(read_run_config, config, "config/config.yaml")


@cache
def listed_studies():
    return or_stop(collect_studies, tuple(run_config().studies), Path())


@cache
def study_called(name):
    """A study of config/studies/, listed in config.yaml or asked for by name."""
    listed = listed_studies()
    return (
        listed[name]
        if name in listed
        else or_stop(collect_studies, (name,), Path())[name]
    )


STUDIES_OF_THIS_RUN = {}


def study_of(wildcards):
    study = study_called(wildcards.study)
    STUDIES_OF_THIS_RUN[wildcards.study] = study
    return study


@cache
def runnable_studies():
    """The listed studies whose data are here; the others are named with the reason."""
    absences = {
        name: absent_open_data(study, data_files(study, Path()))
        for name, study in listed_studies().items()
    }
    for reason in filter(None, absences.values()):
        tell(reason)
    return [name for name, reason in absences.items() if not reason]


def code_of(script):
    """Parameter of every rule: changes when the script or anything it imports changes."""
    return lambda wildcards: code_hash(SCRIPTS / script, LOCK)


def mark_of_key(wildcards):
    """Changes when the key of the pseudonyms does: three digits, too few to guess the key from."""
    key = os.environ.get("ALLIANCE_PSEUDONYM_KEY", "").strip()
    if study_of(wildcards).privacy.pseudonyms != "keyed" or not key:
        return ""
    return hashlib.scrypt(key.encode(), salt=b"mark", n=2**12, r=8, p=1).hex()[:3]


def part_of_code(name):
    """A file of the package that no import shows, such as a page template."""
    return os.path.relpath(SCRIPTS / "alliance" / name)


def sections(*names, labels=True, only=None):
    """Parameter of a rule: these sections of the study file, and no others."""
    return lambda wildcards: write_excerpt(
        study_of(wildcards), *names, labels=labels, only=only
    )


def sections_of(wildcard, parts_of):
    """The same, with only the entries that the one named by a wildcard depends on.

    Editing another model, say, reruns nothing of this one. ``parts_of`` finds these entries.
    """

    def parameter(*names, labels=True):
        def excerpt(wildcards):
            study = study_of(wildcards)
            parts = parts_of(study, getattr(wildcards, wildcard))
            only = {name: parts[name] for name in names if name in parts}
            return write_excerpt(study, *names, labels=labels, only=only)

        return excerpt

    return parameter


sections_of_model = sections_of("model", parts_of_model)
sections_of_variants = sections_of("model", parts_of_variants)
sections_of_association = sections_of("association", parts_of_association)
sections_of_dynamics = sections_of("dynamics", parts_of_dynamics)
sections_of_rupture = sections_of("rupture", parts_of_rupture)
sections_of_gains = sections_of("gains", parts_of_gains)


RULER = "=" * 79
MARK_OF_RUN = Path(".snakemake/alliance.pid")


def mark_this_run():
    """Note which process holds the locks of this folder."""
    MARK_OF_RUN.write_text(f"{platform.node()} {os.getpid()}")


def take_up_a_killed_run():
    """Remove the locks of a run whose process is gone, so that it can be resumed at once."""
    locks = Path(".snakemake/locks")
    if not MARK_OF_RUN.is_file() or not locks.is_dir() or not any(locks.iterdir()):
        return
    host, _, process = MARK_OF_RUN.read_text().partition(" ")
    if host == platform.node() and not is_running(int(process)):
        shutil.rmtree(locks)
        tell("An earlier run was stopped half-way; it is taken up where it was.")


def is_running(process):
    try:
        os.kill(process, 0)  # signal 0 only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def say_where_the_reports_are():
    """Of the studies that this run was about, which need not be listed in config.yaml."""
    for name in STUDIES_OF_THIS_RUN or runnable_studies():
        for what, file in (
            ("Report", "report.html"),
            ("Text", "manuscript/manuscript.docx"),
        ):
            if Path(f"results/{name}/{file}").is_file():
                tell(f"{what}: results/{name}/{file}")


def say_what_to_do():
    """The end of a screen: one list of what is wrong with the data, or where to look."""
    refused = 0
    for name in STUDIES_OF_THIS_RUN:
        file = f"results/{name}/qc/validation.tsv"
        problems = read_problems(file)
        if any(problem.severity == "error" for problem in problems):
            refused += 1
            title = f"The study '{name}' was stopped"
            tell(f"\n{RULER}\n{describe_problems(problems, title)}\n")
            tell(f"This list is also in {file}.")
    if refused:
        tell(f"Mend what is marked ERROR and type the same command again.\n{RULER}")
        return
    tell(
        "\nThe run stopped early: what is wrong stands above (and in results/<study>/logs/).\n"
        "Correct it and type the same command again; what was finished is not done twice.\n"
    )


def marks_of_draft(wildcards):
    """Lines of the study file that a draft marked and nobody has looked at."""
    file = Path(f"config/studies/{wildcards.study}.yaml")
    return lines_to_check(file.read_text(encoding="utf-8-sig"))
