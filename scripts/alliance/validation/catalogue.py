"""The catalogue of issues: every code, how serious it is, what it means, what to do about it.

The checks say where and what they found; the rest of the message stands here, so that one kind of
problem is always told in the same words. Readers and the study loader tell their own problems.
"""

from __future__ import annotations

from dataclasses import dataclass

from alliance.problems import Problem, Severity


@dataclass(frozen=True)
class Issue:
    """One kind of problem.

    Attributes
    ----------
    severity : ``error`` stops the study, ``warning`` reaches the report.
    meaning : what is wrong, in general; for the list of issues in the documentation.
    expected, fix : templates; ``{words}`` are filled in by the check.
    """

    severity: Severity
    meaning: str
    expected: str
    fix: str


def tell(
    code: str,
    file: str,
    where: str,
    found: str,
    *,
    severity: Severity | None = None,
    **words: object,
) -> Problem:
    """A problem in the words of the catalogue.

    Parameters
    ----------
    severity : overrides the catalogue where a rule of the study decides (``cleaning``).
    words : what the templates of ``expected`` and ``fix`` ask for.

    Raises
    ------
    ValueError
        For a code that is not in the catalogue, or a word that its template misses.
    """
    if code not in CATALOGUE:
        raise ValueError(f"no issue {code!r} in the catalogue")
    issue = CATALOGUE[code]
    try:
        expected, fix = issue.expected.format(**words), issue.fix.format(**words)
    except KeyError as error:
        raise ValueError(f"issue {code} needs the word {error}") from None
    return Problem(
        code, severity or issue.severity, file, where, found, expected, " ".join(fix.split())
    )


def _error(meaning: str, expected: str, fix: str) -> Issue:
    return Issue("error", meaning, expected, fix)


def _warning(meaning: str, expected: str, fix: str) -> Issue:
    return Issue("warning", meaning, expected, fix)


STUDY_ISSUES: dict[str, Issue] = {
    "NO_OUTCOME": _error(
        "No measure has the role outcome.",
        "at least one measure with role outcome",
        "Declare under measures what is to be predicted, with role: outcome.",
    ),
    "NO_ALLIANCE": _warning(
        "No measure has the role alliance or process.",
        "a measure with role alliance (or process)",
        "Nothing to correct if the study has none: alliance models, rupture analyses and "
        "within/between splits are left out, the course of the outcome is described and modelled.",
    ),
    "INSTRUMENT_NOT_LOADED": _error(
        "A measure names an instrument that there is no file for.",
        "a file of config/instruments/",
        "{hint} config/instruments/README.md says how to add an instrument.",
    ),
    "INSTRUMENT_REFUSES": _error(
        "The key of the instrument is unknown or unchecked, so items are not scored.",
        "an instrument whose key was checked",
        "Check the key against the manual. {advice}",
    ),
    "RESPONSE_RANGE_REVERSED": _error(
        "A range whose lowest number is not below its highest.",
        "the lowest number first, e.g. [1, 7]",
        "Swap or correct the two numbers.",
    ),
    "LABELS_OUT_OF_RANGE": _error(
        "Answers in words are mapped to numbers the form does not have.",
        "numbers from {low:g} to {high:g}",
        "Correct the numbers under labels, or declare response_range.",
    ),
    "DIRECTION_CONTRADICTS": _error(
        "The study file and the instrument disagree whether higher is better.",
        "higher_is: {instrument_says}, as in the instrument's file",
        "Leave higher_is out, or correct it: a wrong direction turns the sign of every result.",
    ),
    "RATER_CONTRADICTS": _warning(
        "The rater differs from whom the instrument's form is for.",
        "rater: {perspective}",
        "Correct the rater, or choose the instrument's form for this rater.",
    ),
    "UNKNOWN_COMPONENT": _error(
        "A model or rupture analysis asks for a subscale that the instrument does not have.",
        "one of: {known}",
        "{hint}",
    ),
    "DRAFT_MARKS": _warning(
        "A drafted study file still carries marks of what its owner should look at.",
        "no line marked CHECK",
        "Look at each of these lines, correct what is wrong, and delete the mark.",
    ),
    "SAME_FILE_TWICE": _error(
        "Two tables of the study file name the same file and sheet.",
        "each file (or sheet) once",
        "Remove one of the two tables, or correct its path.",
    ),
}

COLUMN_ISSUES: dict[str, Issue] = {
    "ONE_COLUMN": _error(
        "Everything stands in one column: the separator was not recognised.",
        "{wanted} or more columns",
        "Set data.tables.<name>.separator to the character between the columns "
        "(`;`, `,`, `tab` or `whitespace`).",
    ),
    "TWO_ROLES": _error(
        "One column is declared for two purposes.",
        "one purpose for each column",
        "Correct one of the two names; if the file really has one column only, keep one of the "
        "two declarations.",
    ),
    "UNDECLARED_IDENTIFIER": _warning(
        "The file holds further columns whose names look like personal data.",
        "a file without personal data",
        "They are not read any further and reach no result. Better still: delete them from the "
        "file that is used for research.",
    ),
    "MORE_ITEMS": _warning(
        "The file goes on with item columns of a measure after the instrument's last item.",
        "as many item columns as {instrument} has items, {n_items}",
        "Is it another form, or are {{item}} and {{session}} exchanged? The further columns are "
        "not read, and if the items are those of another form its scores are wrong.",
    ),
    "IDENTIFIER_COLUMN": _error(
        "A declared column is, by its name, personal data.",
        "no names, addresses, birth dates, numbers of persons, or free text",
        "{advice}",
    ),
}

ID_ISSUES: dict[str, Issue] = {
    "NO_CLIENTS": _error(
        "The client column is empty throughout.",
        "an identifier in every row",
        "Check columns.client and data.missing_codes.",
    ),
    "CLIENT_MISSING": _warning(
        "Rows without client identifier.",
        "an identifier in every row",
        "Fill in the identifier; until then these rows are left out and counted.",
    ),
    "SPELLED_DIFFERENTLY": _warning(
        "Identifiers that differ only by capitals, spaces or leading zeros.",
        "one spelling for each person",
        "Make the spelling the same everywhere; until then they count as different persons.",
    ),
    "SESSION_MISSING": _warning(
        "Rows without session number.",
        "a session number in every row",
        "Fill in the number; until then these rows are left out and counted.",
    ),
    "SESSION_NOT_NUMBER": _error(
        "Session numbers that are no numbers.",
        "whole numbers (1, 2, 3, ...)",
        "Correct them, or map them to numbers with labels in columns.session (null drops a row).",
    ),
    "SESSION_NOT_WHOLE": _error(
        "Session numbers with decimals.",
        "whole numbers (1, 2, 3, ...)",
        "Number the sessions in whole steps, or map them with labels in columns.session.",
    ),
    "SESSION_NEGATIVE": _error(
        "Session numbers below zero.",
        "numbers from 0 or 1",
        "Number the sessions from 1; give intake as 0, and declare missing codes such as -9 in "
        "data.missing_codes.",
    ),
    "SESSION_TOO_LARGE": _error(
        "Session numbers no therapy reaches.",
        "numbers up to {limit}",
        "Is this a date, a year or a running number over all clients? Then name the column under "
        "columns.date, or number the sessions of each client from 1.",
    ),
    "SESSION_GAPS": _warning(
        "Session numbers that jump far ahead within a client.",
        "numbers that follow each other",
        "Correct slips such as 55 for 5. Nothing is changed: pairs of sessions across a gap are "
        "never taken for neighbours.",
    ),
    "DATE_UNREADABLE": _error(
        "Entries of the date column that are no dates.",
        "dates in one form, best 2024-01-31",
        "Correct the entries, or declare them in data.missing_codes.",
    ),
    "DATE_FORMATS_MIXED": _error(
        "The date column mixes several forms.",
        "one form throughout, best 2024-01-31",
        "Bring all dates into one form: with mixed forms day and month cannot be told apart.",
    ),
    "DATE_IN_FUTURE": _error(
        "Dates after today.",
        "dates up to today",
        "Correct the dates; a wrong century comes from years written with two digits.",
    ),
    "DATE_TOO_EARLY": _error(
        "Dates before 1950.",
        "dates of sessions",
        "Correct the dates; 1900-01-01 and 1899-12-30 are what spreadsheets make of empty cells.",
    ),
    "DATES_AGAINST_SESSIONS": _warning(
        "A later session has an earlier date.",
        "dates that rise with the session number",
        "Correct date or number; until then the number is kept and the date set to missing.",
    ),
    "EXACT_DUPLICATES": _warning(
        "Identical rows.",
        "one row for each client and session",
        "Delete the copies; until then cleaning.exact_duplicates decides ({rule}).",
    ),
    "CONFLICTING_DUPLICATES": _warning(
        "Rows for one client and session that differ.",
        "one row for each client and session",
        "Find out which row is right; until then cleaning.conflicting_duplicates decides ({rule}).",
    ),
    "NOT_IN_CLIENT_TABLE": _warning(
        "Clients with sessions who are not in the client table.",
        "every client in both tables",
        "Check the spelling of the identifiers in both files; the covariates of these clients "
        "are missing.",
    ),
    "WITHOUT_SESSIONS": _warning(
        "Clients of the client table who have no session.",
        "every client in both tables",
        "Check the spelling of the identifiers; clients who never came are left out and counted.",
    ),
    "SEVERAL_THERAPISTS": _warning(
        "Clients with more than one therapist.",
        "one therapist for each client",
        "Nothing to correct if therapists changed: cleaning.therapist_changes decides ({rule}).",
    ),
    "ONE_THERAPIST": _warning(
        "All clients have the same therapist.",
        "several therapists",
        "Leave out columns.therapist, or check the column: nothing can be said about therapists.",
    ),
    "THERAPIST_MISSING": _warning(
        "Clients without a known therapist.",
        "a therapist for every client",
        "Fill them in; in models with therapists each of these clients stands alone.",
    ),
}

VALUE_ISSUES: dict[str, Issue] = {
    "TEXT_IN_NUMBER": _error(
        "Words in a column of numbers.",
        "numbers",
        "Answers in words: map them with labels of the measure. Marks for missing answers: list "
        "them in data.missing_codes. Slips of the pen: correct the file.",
    ),
    "DECIMAL_COMMA": _error(
        "Numbers with a decimal comma in a file with decimal points.",
        "numbers with one decimal mark throughout",
        "Set decimal: ',' for this table, or write all numbers of the file in the same way.",
    ),
    "SPREADSHEET_ERROR": _error(
        "Error messages of a spreadsheet instead of numbers.",
        "numbers",
        "Repair the formulas in the spreadsheet, or empty these cells.",
    ),
    "DATE_IN_NUMBER": _error(
        "Dates in a column of numbers: spreadsheets turn answers such as 3.5 or 1-2 into dates.",
        "numbers",
        "Format the column as number in the spreadsheet and enter the answers again from the "
        "original source.",
    ),
    "OUT_OF_RANGE": _warning(
        "Answers the form does not have.",
        "{low:g} to {high:g}",
        "Correct them; until then they are set to missing and logged.",
    ),
    "WRONG_RESPONSE_RANGE": _error(
        "More than a fifth of all answers lie outside the response range.",
        "{low:g} to {high:g}",
        "{hint}",
    ),
    "NOT_WHOLE": _warning(
        "Answers with decimals where the form has whole numbers only.",
        "whole numbers",
        "Were missing answers filled in (imputed)? Better leave them empty: gaps are dealt with "
        "in scoring. The numbers are used as they are.",
    ),
    "SENTINEL_CODE": _warning(
        "Numbers that look like codes for missing answers.",
        "answers from {low:g} to {high:g}",
        "Add them to data.missing_codes; until then they are set to missing as out of range.",
    ),
    "SENTINEL_CODE_USED": _error(
        "Numbers that look like codes for missing answers where no range is known.",
        "real values",
        "Add them to data.missing_codes, or, if they are real, declare the range of the measure "
        "or check the column: otherwise they would be used as numbers.",
    ),
    "NO_RANGE": _warning(
        "A score without declared range: impossible values cannot be noticed.",
        "range: [lowest, highest]",
        "Declare the range of possible scores under the measure.",
    ),
    "OTHER_METRIC": _warning(
        "Scores that look like item means where the instrument's total is a sum, or the reverse.",
        "scores in the instrument's own metric, {low:g} to {high:g}",
        "Convert the scores, or leave out instrument and declare range and higher_is.",
    ),
    "ALL_MISSING": _error(
        "A measure without a single value.",
        "some values",
        "Check the column names and data.missing_codes, or leave the measure out.",
    ),
    "ITEM_ALL_MISSING": _warning(
        "An item without a single answer while others have some.",
        "some answers",
        "Check the column. The scale is scored without this item only if its rule for missing "
        "answers allows it.",
    ),
    "ITEM_CONSTANT": _warning(
        "An item with the same answer in every row.",
        "answers that differ",
        "Check the column: it may be a constant of the questionnaire software.",
    ),
    "CONSTANT_MEASURE": _error(
        "A measure with the same value in every row.",
        "values that differ between sessions and clients",
        "Check the column. Nothing can be learnt from a constant; leave the measure out.",
    ),
    "CONSTANT_WITHIN_CLIENTS": _error(
        "A predictor that never changes within a client.",
        "a rating that was made at every session",
        "Was it rated once per client and copied to every session? Then declare it as a "
        "client-level covariate: there is no within-client effect to estimate.",
    ),
    "LOOKS_REVERSED": _error(
        "Negatively worded items look as if they had been reversed before.",
        "negatively worded items that run against the others",
        "{really} If it is, and these items were reversed before (in SPSS, say), set "
        "items_already_reversed: true for this measure; otherwise they would be reversed twice. "
        "If you know that the file holds the original answers, write items_already_reversed: "
        "false; this is then a warning only.",
    ),
    "LOOKS_UNREVERSED": _error(
        "Items declared as reversed before run against the others.",
        "items that all point the same way",
        "{really} If it is, and the file holds the original answers, set items_already_reversed: "
        "false.",
    ),
    "ITEMS_DISAGREE": _error(
        "Items that, reversed as the key says, run against each other.",
        "items of one scale, which go up and down together",
        "{really} Check the order of the columns and the instrument; its key would give wrong "
        "scores. If items were reversed before, set items_already_reversed: true.",
    ),
    "OTHER_INSTRUMENT_NAMED": _warning(
        "The columns bear the name of another instrument than the declared one.",
        "columns of {declared}",
        "Is it really {declared}? Nothing to do if it is; otherwise correct instrument: forms of "
        "one family differ in items, order and reversed items.",
    ),
    "STRAIGHT_LINING": _warning(
        "Many forms have the same answer to every item although items are worded both ways.",
        "answers that differ between items",
        "Nothing is changed. Look at these forms: they may have been filled in without reading, "
        "or copied.",
    ),
    "RATED_UNATTENDED": _warning(
        "Ratings made after the session on sessions that did not take place.",
        "no ratings on sessions that did not take place",
        "Check attendance and timing; until then these ratings are set to missing and logged.",
    ),
    "NOT_YES_NO": _error(
        "A rupture report that is neither 1 nor 0.",
        "1 (yes) or 0 (no)",
        "Map the answers with labels, e.g. labels: {{yes: 1, no: 0}}.",
    ),
    "NOT_A_RATING": _error(
        "A rating of a rupture outside 1 to 5.",
        "1 (not at all) to 5 (very much)",
        "Correct it, declare its code under data.missing_codes, or map the answers with labels.",
    ),
    "NOT_A_COUNT": _error(
        "A number of observed rupture markers that is no count.",
        "0, 1, 2, ... markers",
        "Correct it, or declare its code under data.missing_codes.",
    ),
    "RESOLVED_NOTHING": _warning(
        "The resolution of a rupture was rated although the form says that there was none.",
        "no rating of resolution without a rupture",
        "The rating is not used. Check the form; '1 = no rupture' belongs to the report itself.",
    ),
    "UNKNOWN_ATTENDANCE": _error(
        "Entries of attendance without a meaning.",
        "attended, no_show, late_cancel, therapist_cancel",
        "Give every entry a meaning under columns.attendance.labels. {hint}",
    ),
    "ATTENDANCE_MISSING": _warning(
        "Rows without an entry of attendance.",
        "an entry in every row",
        "Fill it in; until then these sessions count as attended.",
    ),
    "UNKNOWN_ENDING": _error(
        "Entries of ending without a meaning.",
        "agreed, dropout, transfer, ongoing",
        "Give every entry a meaning under columns.ending.labels. {hint}",
    ),
    "UNUSED_LABEL": _warning(
        "A label for an entry that never occurs.",
        "entries of the file, spelt as there",
        "Check the spelling and capitals of the entry; nothing to do if it merely never occurred.",
    ),
    "UNKNOWN_CATEGORY": _error(
        "Entries of a category that its labels do not name.",
        "one of: {known}",
        "Add the entries to labels of this covariate, or declare them in data.missing_codes.",
    ),
    "NO_REFERENCE": _error(
        "The reference category does not occur.",
        "one of: {known}",
        "{hint}",
    ),
    "MANY_CATEGORIES": _warning(
        "A category with very many different entries.",
        "a few categories",
        "If these are numbers, declare type: number; else merge them with labels.",
    ),
    "COVARIATE_EMPTY": _error(
        "A covariate without a single value.",
        "some values",
        "Check the column name and data.missing_codes, or leave the covariate out.",
    ),
    "SMALL_CELLS": _warning(
        "Categories held by very few clients.",
        "at least {smallest} clients in every category",
        "Merge them with labels if they can be merged; counts of fewer than {smallest} clients "
        "are not shown.",
    ),
    "FEW_ALIKE": _warning(
        "Clients who stand alone in their combination of quasi-identifiers.",
        "at least {smallest} clients for every combination",
        "Use coarser categories (age groups, regions), or leave a variable out.",
    ),
}

STUDY_SIZE_ISSUES: dict[str, Issue] = {
    "ONE_CLIENT": _error(
        "A single client.",
        "several clients",
        "Check columns.client: multilevel models compare clients, so there must be several.",
    ),
    "FEW_CLIENTS": _warning(
        "Few clients.",
        "at least {wanted} clients",
        "Read every interval with caution: between-client effects and variances are hardly known.",
    ),
    "ONE_SESSION_EACH": _error(
        "No client has more than one session.",
        "several sessions for each client",
        "Check columns.client and columns.session. With one session each, within-client effects "
        "cannot be estimated.",
    ),
    "NOBODY_LEFT": _error(
        "No client has as many sessions as cleaning.min_sessions asks for.",
        "clients with {wanted} or more attended sessions with data",
        "Lower cleaning.min_sessions, or check the session columns.",
    ),
    "NO_PAIRS": _error(
        "No outcome follows a rating at the lag of a model.",
        "an outcome {lag} a rating, for some clients",
        "Check timing and the model's lag, and whether both forms were given at such sessions.",
    ),
    "TERM_CONSTANT": _error(
        "A covariate of a model does not vary.",
        "a variable that differs between clients (or sessions)",
        "Take it out of the model, or check the column.",
    ),
    "FEW_THERAPISTS": _warning(
        "Too few therapists for a three-level model.",
        "at least {wanted} therapists with {each} or more clients each",
        "Models with therapists: true ({models}) will not be estimated. Set therapists: false "
        "there; the two-level model is estimated.",
    ),
}

PRIVACY_ISSUES: dict[str, Issue] = {
    "EMAIL_FOUND": _error(
        "E-mail addresses.",
        "no personal data",
        "{advice}",
    ),
    "PHONE_FOUND": _error(
        "Telephone numbers (or other long numbers of persons).",
        "no personal data",
        "{advice}",
    ),
    "INSURANCE_NUMBER_FOUND": _error(
        "Insurance or social security numbers.",
        "no personal data",
        "{advice}",
    ),
    "BIRTH_DATE_FOUND": _error(
        "Dates that belong to a person, such as birth dates.",
        "no dates but those of sessions",
        "{advice}",
    ),
    "ADDRESS_FOUND": _error(
        "Postal addresses.",
        "no personal data",
        "{advice}",
    ),
    "NAMES_FOUND": _error(
        "Names of persons.",
        "no names of persons",
        "{advice}",
    ),
    "FREE_TEXT_FOUND": _error(
        "Free text.",
        "short categories",
        "{advice}",
    ),
    "UNIQUE_ENTRIES": _error(
        "A category that nearly every client has for themselves.",
        "categories shared by several clients",
        "Such an entry identifies the client. Group it, declare type: number if it is one, or "
        "leave it out.",
    ),
    "NOT_PSEUDONYMS": _error(
        "Identifiers declared as pseudonyms that do not look like pseudonyms.",
        "short codes such as P017",
        "Set privacy.pseudonyms: keyed, or replace the identifiers in the file by codes.",
    ),
    "NO_PSEUDONYM_KEY": _error(
        "The key for pseudonyms is not set.",
        "the environment variable ALLIANCE_PSEUDONYM_KEY",
        'Make a key once with: python -c "import secrets; print(secrets.token_hex(32))" and keep '
        "it where only you can read it, never in a file of the project. Before each run set it "
        "with: export ALLIANCE_PSEUDONYM_KEY=... (Windows: set ALLIANCE_PSEUDONYM_KEY=...). The "
        "same key gives the same pseudonyms. Or, if the ids are pseudonyms already, declare "
        "privacy.pseudonyms: as_given.",
    ),
    "WEAK_PSEUDONYM_KEY": _error(
        "The key for pseudonyms is short enough to be guessed.",
        "at least {wanted} characters",
        'Make a key with: python -c "import secrets; print(secrets.token_hex(32))".',
    ),
}

CATALOGUE: dict[str, Issue] = {
    **STUDY_ISSUES,
    **COLUMN_ISSUES,
    **ID_ISSUES,
    **VALUE_ISSUES,
    **STUDY_SIZE_ISSUES,
    **PRIVACY_ISSUES,
}
