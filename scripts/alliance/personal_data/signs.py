"""Signs of personal data in a name or an entry: pure tests of text that know no table."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from alliance.personal_data.given_names import GIVEN_NAMES, frozen_words

# What personal columns are called, in the languages the authors read; joined, lower case, umlauts
# written out.
IDENTIFIER_NAMES: dict[str, frozenset[str]] = {
    "a name": frozen_words(
        """
        name names fullname firstname lastname forename givenname familyname surname
        maidenname middlename initials vorname vornamen nachname familienname zuname
        rufname geburtsname namen vollname vorundnachname nom prenom nombre apellido
        apellidos cognome nome voornaam achternaam fname lname
        """
    ),
    "an e-mail address": frozen_words(
        """
        email mail emailaddress mailaddress emailadresse mailadresse emailadres correo
        correoelectronico courriel
        """
    ),
    "a telephone number": frozen_words(
        """
        phone phonenumber phoneno telephone telephonenumber tel telnr telefon
        telefonnummer telefonnr mobile mobilenumber mobil mobilnummer mobiltelefon handy
        handynummer handynr cell cellphone fax faxnumber faxnummer telefono
        """
    ),
    "a birth date": frozen_words(
        """
        dob birthdate birthday dateofbirth birthdt bdate gebdatum gebdat gebtag
        geburtsdatum geburtstag geburtsdat geboren geboortedatum datedenaissance
        fechadenacimiento datadinascita
        """
    ),
    "an address": frozen_words(
        """
        address homeaddress postaladdress street streetname streetaddress housenumber
        zip zipcode postcode postalcode adresse anschrift wohnadresse strasse
        strassenname hausnummer plz postleitzahl wohnort adres direccion domicilio
        codigopostal indirizzo
        """
    ),
    "an insurance or registration number": frozen_words(
        """
        insurancenumber insuranceno insuranceid policynumber ssn socialsecuritynumber
        socialsecurity nationalid nationalinsurancenumber nhsnumber nhsno mrn
        medicalrecordnumber passportnumber taxid versichertennummer versichertennr
        versicherungsnummer versicherungsnr versnr krankenversicherungsnummer
        krankenkassennummer kvnr kvnummer rvnr svnr svnummer sozialversicherungsnummer
        rentenversicherungsnummer ahvnummer ahvnr ausweisnummer steuerid iban
        kontonummer bsn dni nif nuss numerodeseguridadsocial historiaclinica
        numerodehistoria nhc
        """
    ),
    "free text": frozen_words(
        """
        notes note sessionnotes progressnotes comment comments commentary freetext
        opentext openanswer remark remarks narrative transcript description notiz
        notizen kommentar kommentare bemerkung bemerkungen anmerkung anmerkungen
        freitext verlaufsnotiz verlaufsnotizen sitzungsnotizen beschreibung transkript
        opmerkingen notas observaciones comentario comentarios commentaire commentaires
        remarques
        """
    ),
    "an account or network address": frozen_words(
        """
        ip ipaddress ipadresse username login benutzername macaddress deviceid
        """
    ),
}
ROLE_WORDS = frozen_words(
    """
        client clients patient patients pat pt participant person subject klient
        klientin klienten patientin teilnehmer proband therapist therapists therapeut
        therapeutin behandler clinician counsellor counselor contact kontakt private
        privat home work the of des der die das s paciente cliente terapeuta del de la el
        """
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})

_PREFIX = re.compile(
    r"(?:client|patient(?:en|in)?|klient(?:en|in)?|therapist|therapeut(?:en)?)s?(\w+)"
)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}")
_PHONE = re.compile(r"(?=.*[\s()/.+-])\(?[+0][\d\s()/.-]{5,}\d|\d{3}[-. ]\d{3}[-. ]\d{4}|\d{9,}")
_INSURANCE = re.compile(
    r"[A-Z]\d{9}|\d{8}[A-Z]\d{3}|\d{2}\s?\d{6}\s?[A-Z]\s?\d{3}"  # German health and pension
    r"|756\.?\d{4}\.?\d{4}\.?\d{2}"  # Swiss AHV
    r"|\d{3}-\d{2}-\d{4}|[A-Z]{2}\s?\d{2}\s?\d{2}\s?\d{2}\s?[A-D]"  # US, UK
)
_ADDRESS = re.compile(
    r"\w*(?:stra(?:ss|ß)e|str\.|street|road|avenue|lane|weg|platz|allee|gasse)\s+\d+.*"
    r"|\d+[a-z]?,?\s+\w+.*\b(?:street|st\.|road|rd\.|avenue|ave\.|lane|drive)\b.*"
    r"|.*\b\d{5}\s+[A-ZÄÖÜ][a-zäöüß]{2,}.*",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(?:dr|prof|mr|mrs|ms|miss|herr|frau|dipl)\b\.?", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_TITLE_CASE = re.compile(r"(?:[A-ZÄÖÜ]\.?\s+)?[A-ZÄÖÜ][a-zäöüßéèáóíñç'-]{2,}(?:[,\s]+[A-ZÄÖÜ]\S*)*")
_DATE_LIKE = re.compile(
    r"\d{1,2}[./-]\d{1,2}[./-](?:19|20)?\d{2}|(?:19|20)\d{2}[./-]\d{1,2}[./-]\d{1,2}"
)
FREE_TEXT_LENGTH, FREE_TEXT_WORDS = 40, 5

Sign = Callable[[str], bool]


def name_looks_like(column: str) -> str:
    """What personal data a column's name announces (``a name``, ``free text``), else empty."""
    spaced = re.sub(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])", " ", column)
    words = [word for word in re.split(r"[^a-z]+", _without_accents(spaced)) if word]
    for drop in (frozenset(), ROLE_WORDS):
        joined = "".join(word for word in words if word not in drop)
        for kind, names in IDENTIFIER_NAMES.items():
            if joined in names:
                return kind
    return _prefixed(words)


def _without_accents(text: str) -> str:
    """In lower case, umlauts written out, other accents dropped: ``Teléfono`` is telefono."""
    written_out = unicodedata.normalize("NFC", text.lower()).translate(_UMLAUTS)
    parted = unicodedata.normalize("NFKD", written_out)
    return "".join(sign for sign in parted if not unicodedata.combining(sign))


def _prefixed(words: list[str]) -> str:
    """Compounds written in one word, such as ``clientname`` or ``patientenname``."""
    joined = "".join(words)
    prefix = _PREFIX.fullmatch(joined)
    if not prefix:
        return ""
    return next((k for k, names in IDENTIFIER_NAMES.items() if prefix[1] in names), "")


def looks_like_email(text: str) -> bool:
    """Whether an e-mail address stands anywhere in the text."""
    return _EMAIL.search(text) is not None


def looks_like_phone(text: str) -> bool:
    """Whether the whole text is a telephone number, or as long a number as one."""
    return _PHONE.fullmatch(text) is not None and sum(c.isdigit() for c in text) >= 7


def looks_like_insurance_number(text: str) -> bool:
    """Whether the whole text has the form of an insurance or social security number."""
    return _INSURANCE.fullmatch(text) is not None


def looks_like_address(text: str) -> bool:
    """Whether the text names a street with a number, or a postcode with a place."""
    return _ADDRESS.fullmatch(text) is not None


def looks_like_date(text: str) -> bool:
    """Whether a date with day, month and year stands anywhere in the text."""
    return _DATE_LIKE.search(text) is not None


def looks_like_free_text(text: str) -> bool:
    """Whether the text is a sentence rather than a category."""
    return len(text) > FREE_TEXT_LENGTH and len(text.split()) >= FREE_TEXT_WORDS


def looks_like_person(text: str) -> bool:
    """Whether a common given name, or a title with a name, stands in the text."""
    words = [_without_accents(word) for word in _WORD.findall(text)]
    if any(word in GIVEN_NAMES for word in words):
        return True
    return _TITLE.search(text) is not None and len(words) > 1


def looks_like_surname(text: str) -> bool:
    """Whether the text is written as names are: capitalised words without any digit."""
    return _TITLE_CASE.fullmatch(text) is not None


# In this order: the most telling sign of an entry is reported, not every one.
CONTENT_SIGNS: dict[str, Sign] = {
    "EMAIL_FOUND": looks_like_email,
    "INSURANCE_NUMBER_FOUND": looks_like_insurance_number,
    "ADDRESS_FOUND": looks_like_address,
    "BIRTH_DATE_FOUND": looks_like_date,
    "PHONE_FOUND": looks_like_phone,
    "FREE_TEXT_FOUND": looks_like_free_text,
    "NAMES_FOUND": looks_like_person,
}
# Keyed pseudonyms replace numbers of any kind; names and addresses are no good identifiers, since
# two persons may share one and one person may have several.
REFUSED_AS_KEYED_ID = ("EMAIL_FOUND", "ADDRESS_FOUND", "FREE_TEXT_FOUND", "NAMES_FOUND")


def identifying_kind(text: str) -> str:
    """The code of the personal data that an entry looks like, else empty."""
    return next((code for code, sign in CONTENT_SIGNS.items() if sign(text)), "")
