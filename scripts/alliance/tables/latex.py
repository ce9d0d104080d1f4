"""A table as LaTeX: ``booktabs`` rules and a ``threeparttable`` note, as APA journals print it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from alliance.tables.apa import ApaTable, Column, Row, with_statistics

PREAMBLE = r"\usepackage{booktabs,threeparttable,adjustbox}"

_CHARACTERS: dict[str, str] = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"$<$", ">": r"$>$", "|": r"$|$", '"': r"\textquotedbl{}",
    "−": r"$-$", "–": "--", "—": "---", "×": r"$\times$", "±": r"$\pm$", "≥": r"$\geq$",
    "≤": r"$\leq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "·": r"$\cdot$", "²": r"$^2$",
    "³": r"$^3$", "½": r"$\frac{1}{2}$", "√": r"$\surd$", "…": r"\ldots{}", "‘": "`", "’": "'",
    "“": "``", "”": "''", "\u00a0": "~", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$",
    "δ": r"$\delta$", "Δ": r"$\Delta$", "κ": r"$\kappa$", "λ": r"$\lambda$", "μ": r"$\mu$",
    "ρ": r"$\rho$", "σ": r"$\sigma$", "τ": r"$\tau$", "φ": r"$\varphi$", "χ": r"$\chi$",
    "ω": r"$\omega$", "\n": " ",
}  # fmt: skip
_TRANSLATION = str.maketrans(_CHARACTERS)


def latex_text(text: str) -> str:
    """``text`` with every character that means something to LaTeX written out."""
    return text.translate(_TRANSLATION)


def table_latex(table: ApaTable) -> str:
    """The table as a ``table`` environment, no wider than the page.

    The preamble of the document needs :data:`PREAMBLE`, which the first line repeats.
    """
    width = len(table.columns)
    lines = [
        f"% {PREAMBLE}",
        r"\begin{table}[htbp]",
        r"\begin{adjustbox}{max width=\linewidth}",
        r"\begin{threeparttable}",
        rf"\caption{{{latex_text(table.title)}}}",
        rf"\label{{tab:{table.name.replace('_', '-')}}}",
        rf"\begin{{tabular}}{{l{'r' * (width - 1)}}}",
        r"\toprule",
        *_head(table.columns),
        r"\midrule",
        *(_row(row, width) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(table),
        r"\end{threeparttable}",
        r"\end{adjustbox}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _head(columns: Sequence[Column]) -> Iterator[str]:
    if any(column.span for column in columns):
        cells, rules, at = [], [], 1
        for span, group in groupby(columns, key=lambda column: column.span):
            n = len(list(group))
            cells.append(rf"\multicolumn{{{n}}}{{c}}{{{_italic(span)}}}")
            if span:
                rules.append(rf"\cmidrule(lr){{{at}-{at + n - 1}}}")
            at += n
        yield " & ".join(cells) + r" \\"
        yield " ".join(rules)
    yield " & ".join(_italic(column.heading) for column in columns) + r" \\"


def _italic(text: str) -> str:
    """The text written out for LaTeX, with its statistical symbols in italics."""
    pieces = ((latex_text(part), on) for part, on in with_statistics(text))
    return "".join(rf"\textit{{{part}}}" if on else part for part, on in pieces)


def _row(row: Row, width: int) -> str:
    first, others = latex_text(row.cells[0]), [_italic(cell) for cell in row.cells[1:]]
    if row.section:
        return rf"\multicolumn{{{width}}}{{l}}{{\textbf{{{first}}}}} \\"
    # a cell that begins with [ would be read as the optional argument of the line break before it
    others = [f"{{}}{cell}" if cell.startswith("[") else cell for cell in others]
    first = f"{{}}{first}" if first.startswith("[") else first
    return " & ".join([rf"\quad {first}" if row.indent else first, *others]) + r" \\"


def _notes(table: ApaTable) -> Iterator[str]:
    if table.notes:
        text = _italic(" ".join(table.notes))
        yield r"\begin{tablenotes}[flushleft]\footnotesize"
        yield rf"\item \textit{{Note.}} {text}"
        yield r"\end{tablenotes}"
