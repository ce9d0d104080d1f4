"""Common given names, to notice names of persons where none belong.

Names that are also words, months, places or religions (May, Mark, Christian, Victoria) are left
out on purpose: a category must not be refused for them. The list only has to catch columns of
names, of which a few entries suffice.
"""

from __future__ import annotations


def frozen_words(text: str) -> frozenset[str]:
    """The words of a text block, for long lists that must stay readable."""
    return frozenset(text.split())


GIVEN_NAMES: frozenset[str] = frozen_words(
    """
        adam adrian agnes ahmed aisha albert alejandro alex alexander alexandra alfred
        ali alice alina amelie amy ana andrea andreas andrew angela angelika anita anja
        anke anna anne annika annette anthony antje anton antonia antonio arne astrid
        axel barbara beate ben benjamin bernd bernhard bettina birgit bjoern boris
        brigitte britta bruno carina carla carlos carmen carol caroline catherine
        charles charlotte chiara chloe christa christiane christina christine christoph
        christopher clara claudia claus cornelia cristina daniel daniela david deborah
        denise dennis diana dieter dirk dominik donald doris dorothea edith edward elena
        elif elisabeth elizabeth elke emily emine emma eric erich erik erika ernst esra
        eva fabian fatima fatma felix ferdinand finn florian franziska friederike
        friedrich fritz gabriele george gerd gerda gerhard gertrud gisela giulia
        giuseppe greta gudrun guenter guenther gustav hanna hannah hannelore hannes hans
        harald hasan hatice heather heidi heike heinrich heinz helen helena helga helmut
        henrik henry herbert hermann hilde hildegard holger horst hussein ibrahim ilse
        ines ingeborg ingo ingrid irene iris irmgard isabel isabella jack jacob jakob
        james jan jana janina jean jennifer jens jessica joachim joanna johanna johannes
        john jonas jonathan jorge jose joseph juan judith juergen julia julian juliane
        jutta karen karin karl karla karolina katarzyna katharina kathrin katja katrin
        kerstin kevin klara klaus konrad kristin kurt lara laura lea lena leon leonie
        linda lisa lorenz luca lucas lucia luis luisa lukas magdalena maike manfred
        manuel manuela marcel marco marcus maren margaret margarete maria marie marina
        mario marion marko markus marlene marta martha martin martina mary maryam
        mathias matthew matthias maximilian mehmet melanie mia michael michaela michelle
        miguel mohamed mohammed monika moritz murat mustafa nadine nancy natalia natalie
        nele nicholas nicolas nicole niklas nils nina nora norbert olaf oliver olivia
        oskar otto patricia patrick paul paula pauline pavel pedro peter petra philipp
        pia rachel rainer ralf ralph ramona raphael rebecca regina reinhard renate
        ricarda richard robert robin roland rolf ronald rosa rosemarie rudolf ruth ryan
        sabine sabrina samuel sandra sara sarah saskia sebastian selina sharon sibylle
        siegfried sigrid silke silvia simon simone sofia sonja sophia sophie stefan
        stefanie stephan stephanie stephen steven susan susanne svenja swen sylvia tanja
        tatjana theo theresa thomas thorsten tim timo tobias torsten udo ulrich ulrike
        ulrike ursula ute uwe valentin vanessa vera verena veronika viktor vincent
        volker walter waltraud werner wilhelm william wolfgang yasemin yusuf yvonne
        zeynep
        """
)
