"""Keys of a study file that say where the data are: files, their columns, and timing."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from alliance.study.section import Identifier, Number, Section


class Download(Section):
    """Where an openly licensed file can be had."""

    url: str = Field(description="Public address of the original file.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Checksum of the original file.")


class Table(Section):
    """One data file."""

    path: str = Field(description="The file, relative to the project's folder.")
    level: Literal["session", "client"] = Field(
        "session",
        description="One row per session (for `layout: wide`, one row per client holding all "
        "sessions) or one row per client.",
    )
    download: Download | None = Field(
        None, description="Used when `path` is absent: `snakemake download` fetches and checks it."
    )
    format: Literal["auto", "csv", "xlsx", "sav", "dta", "rds", "rdata", "parquet"] = Field(
        "auto", description="File format; `auto` goes by the ending of the name."
    )
    separator: str | None = Field(
        None,
        description="Text files: `,` `;` `tab` or `whitespace`; left out, it is worked out.",
    )
    decimal: Literal[".", ","] | None = Field(
        None, description="Text files: decimal mark; left out, it is worked out."
    )
    encoding: str | None = Field(
        None, description="Text files: e.g. `utf-8`, `latin-1`; left out, it is worked out."
    )
    sheet: str | int | None = Field(
        None, description="Excel: name or number (from 1) of the sheet."
    )
    object: str | None = Field(None, description="R: name of the data frame in an .RData file.")
    header: bool = Field(True, description="false when the first row holds data, not names.")
    column_names: list[str] | None = Field(
        None, description="The names, in order, when there is no header row."
    )
    client: str | None = Field(
        None, description="The client column of this file, if it is named otherwise here."
    )
    session: str | None = Field(
        None, description="The session column of this file, if it is named otherwise here."
    )

    @model_validator(mode="after")
    def _names_without_header(self) -> Table:
        if not self.header and not self.column_names:
            raise ValueError("header is false, so column_names must list the columns in order")
        return self


def _column_from_text(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Column(Section):
    """A column of your file; just its name, or its name with the meaning of its entries."""

    column: str = Field(description="Name of the column in your file.")
    labels: dict[str | int | float | bool, str | int | float | bool | None] | None = Field(
        None,
        description="What an entry means, `entry in the file: meaning`; `null` marks it missing.",
    )


ColumnRef = Annotated[Column, BeforeValidator(_column_from_text)]


class Columns(Section):
    """Which column of your files plays which part."""

    client: ColumnRef = Field(description="Client identifier (de-identified before ingest).")
    session: ColumnRef | None = Field(
        None, description="Session number; left out, sessions are numbered by date."
    )
    date: ColumnRef | None = Field(
        None, description="Date of the session; leaves the gate as days since the first session."
    )
    therapist: ColumnRef | None = Field(None, description="Therapist identifier, if known.")
    attendance: ColumnRef | None = Field(
        None,
        description="What became of the scheduled session; `labels` must map its entries to "
        "`attended`, `no_show`, `late_cancel` or `therapist_cancel`.",
    )
    ending: ColumnRef | None = Field(
        None,
        description="How treatment ended; `labels` map to `agreed`, `dropout`, `transfer`, "
        "`ongoing`.",
    )
    rupture_client: ColumnRef | None = Field(
        None, description="Client's post-session report of a rupture (1 yes, 0 no)."
    )
    rupture_client_intensity: ColumnRef | None = Field(
        None, description="Client: how tense the session was by the same form (1 to 5)."
    )
    rupture_client_resolution: ColumnRef | None = Field(
        None, description="Client: how far the rupture was resolved by the end (1 to 5)."
    )
    rupture_therapist: ColumnRef | None = Field(
        None, description="Therapist's post-session report of a rupture (1 yes, 0 no)."
    )
    rupture_therapist_intensity: ColumnRef | None = Field(
        None, description="Therapist: how tense the session was by the same form (1 to 5)."
    )
    rupture_therapist_resolution: ColumnRef | None = Field(
        None, description="Therapist: how far the rupture was resolved by the end (1 to 5)."
    )
    observer_withdrawal: ColumnRef | None = Field(
        None, description="Observer codes (3RS): number of withdrawal markers in the session."
    )
    observer_withdrawal_impact: ColumnRef | None = Field(
        None, description="Observer codes (3RS): impact of withdrawal on the alliance (1 to 5)."
    )
    observer_confrontation: ColumnRef | None = Field(
        None, description="Observer codes (3RS): number of confrontation markers in the session."
    )
    observer_confrontation_impact: ColumnRef | None = Field(
        None, description="Observer codes (3RS): impact of confrontation on the alliance (1 to 5)."
    )
    observer_resolution: ColumnRef | None = Field(
        None, description="Observer codes (3RS): how far ruptures were resolved (1 to 5)."
    )
    observer_contribution: ColumnRef | None = Field(
        None, description="Observer codes (3RS): what the therapist contributed to it (1 to 5)."
    )


class Wide(Section):
    """How a wide file names its sessions."""

    sessions: list[int] | None = Field(
        None, description="Session numbers to read; left out, every number found in the names."
    )


class Data(Section):
    """The files of the study."""

    layout: Literal["long", "wide"] = Field(
        "long",
        description="long: one row per session. wide: one row per client, sessions in columns "
        "whose names hold `{session}`.",
    )
    tables: dict[Identifier, Table] = Field(
        min_length=1, description="Your files, by a short name."
    )
    missing_codes: list[Number | str] = Field(
        default_factory=list,
        description="Entries that mean `no answer` in every file, e.g. -9, 99, 'NA'. Empty cells "
        "always do.",
    )
    wide: Wide = Field(default_factory=Wide, description="Only for `layout: wide`.")


class Timing(Section):
    """When in a session the forms are filled in: decides every lag (methods.md 0)."""

    alliance_when: Literal["pre", "post"] = Field(
        description="Alliance (or other process measure) rated before or after the session."
    )
    outcome_when: Literal["pre", "post"] = Field(
        description="Outcome rated before or after the session."
    )
    unit: Literal["session", "day", "week", "month"] = Field(
        "session", description="What one step of `session` is, for labels and slopes."
    )
