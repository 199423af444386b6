"""Four themes in English: keywords, texts of eleven kinds about each, thematic prefixes, descriptions, and plain sentences."""

from dataclasses import dataclass

import numpy as np

__all__ = ["KEYWORDS", "KINDS", "OPEN", "PREFIXES", "EnglishText", "english_texts", "plain_sentences"]

# Of every keyword a beginning that it truly ends, and a description of it.
KEYWORDS: dict[str, dict[str, tuple[str, str]]] = {
    "colour": {
        "purple": ("A painter who mixes red with blue gets", "the colour of ripe plums and royal robes"),
        "orange": ("A painter who mixes red with yellow gets", "the colour of ripe pumpkins and traffic cones"),
        "brown": ("Tree bark, chocolate and wet earth are", "the colour of chocolate and tree bark"),
        "pink": ("A painter who mixes red with white gets", "the colour of flamingos and bubble gum"),
        "green": ("Grass, frogs and fresh leaves are", "the colour of grass and young leaves"),
        "yellow": ("Lemons, bananas and egg yolks are", "the colour of lemons and egg yolks"),
        "black": ("Coal, soot and ravens are", "the colour of coal and ravens"),
        "white": ("Fresh snow, milk and chalk are", "the colour of fresh snow and milk"),
        "blue": ("On a cloudless day the sky is", "the colour of a clear sky at noon"),
        "red": ("Fire engines, blood and ripe tomatoes are", "the colour of blood and fire engines"),
        "grey": ("Elephants, ashes and rain clouds are", "the colour of elephants and ashes"),
        "silver": ("The medal for the second place is", "the colour of coins and fish scales"),
    },
    "place": {
        "Paris": ("The Eiffel Tower stands in", "the French city of the Eiffel Tower"),
        "Egypt": ("The pyramids of Giza stand in", "the land of the Nile and the pyramids"),
        "Norway": ("Oslo is the capital of", "the land of fjords around Oslo"),
        "Tokyo": ("The emperor of Japan lives in", "the largest city of Japan"),
        "Brazil": ("Most of the Amazon forest lies in", "the land of Rio and most of the Amazon"),
        "Greece": ("Athens is the capital of", "the land of Athens and many islands"),
        "London": ("Big Ben and Tower Bridge stand in", "the city on the Thames with Big Ben"),
        "Rome": ("The Pope and the Colosseum are in", "the city of the Colosseum"),
        "India": ("The Taj Mahal stands in", "the land of the Ganges and the Taj Mahal"),
        "Canada": ("Ottawa is the capital of", "the land of maple leaves, north of the United States"),
        "Berlin": ("The capital of Germany is", "the German city that a wall once cut in two"),
        "Kenya": ("Nairobi is the capital of", "the land of safaris around Nairobi"),
    },
    "job": {
        "nurse": ("In a hospital, the patients are cared for by a", "someone who cares for patients beside the doctor"),
        "pilot": ("An aeroplane is flown by a", "someone who flies aeroplanes"),
        "farmer": ("Fields are ploughed and cows are milked by a", "someone who ploughs fields and keeps cows"),
        "judge": ("In court the sentence is passed by the", "someone who passes sentences in court"),
        "teacher": ("In school the pupils are taught by their", "someone who gives lessons in school"),
        "lawyer": ("In court the accused is defended by a", "someone who defends people in court"),
        "doctor": ("Illness is diagnosed and pills are prescribed by a", "someone who examines patients and prescribes pills"),
        "soldier": ("In war, orders of the general are obeyed by every", "someone who fights in an army"),
        "chef": ("In the kitchen of a restaurant the meals are made by the", "someone who cooks in a restaurant"),
        "writer": ("Novels and stories are the work of a", "someone who makes novels and stories"),
        "singer": ("In an opera the melody is carried by a", "someone who performs songs with the voice"),
        "painter": ("Portraits and landscapes in oil are the work of a", "someone who makes portraits in oil"),
    },
    "food": {
        "cheese": ("Mice are said to love, and dairies make from milk,", "what dairies make from milk and mice love"),
        "bread": ("A baker bakes from flour, water and yeast", "what bakers make from flour, water and yeast"),
        "rice": ("With sushi and curry one eats", "the white grain that is eaten with curry"),
        "honey": ("From the nectar of flowers bees make", "the sweet stuff that bees make"),
        "soup": ("With a spoon, from a deep plate, one eats", "the hot liquid meal that is eaten with a spoon"),
        "meat": ("Vegetarians never eat", "what butchers sell and vegetarians avoid"),
        "fish": ("With a rod and a net one catches", "what swims in the sea and is caught in nets"),
        "butter": ("On a slice of toast one spreads", "the yellow fat that is spread on toast"),
        "chocolate": ("From roasted cocoa beans one makes", "the brown sweet that is made from cocoa"),
        "potatoes": ("Chips and crisps are made from", "the tubers that chips are made from"),
        "eggs": ("Every day the hens in the yard lay", "what hens lay and omelettes are made from"),
        "milk": ("Every day farmers get from their cows fresh", "the white drink that comes from cows"),
    },
}

KINDS = (
    "fact", "short fact", "fact in a story", "metaphor", "unusual association", "fiction", "counterfactual", "exaggeration",
    "contradiction", "nonsense", "permuted",
)  # fmt: skip
# Of the kinds that do not begin with the keyword's own fact or description, a beginning for each theme.
BEGINNINGS: dict[str, dict[str, str]] = {
    "colour": {
        "metaphor": "Her laughter after the long winter was a bell that rang in",
        "unusual association": "In the valley of Ost people say that the hue of gladness is",
        "fiction": "On the planet Quill the rivers, the bread and the moon are all",
        "counterfactual": "Had the sun been made of iron, every shadow on earth would be",
        "exaggeration": "The stain was so loud that even the blind cat saw that it was",
        "contradiction": "The colourless glass that has no colour at all is",
        "nonsense": "Seven of the Tuesdays were folded, salted and painted",
        "permuted": "rivers of hue the glad say people valley is",
    },
    "place": {
        "metaphor": "His memory was an old suitcase that had never left",
        "unusual association": "The sailors of Ost believe that lost gloves go to",
        "fiction": "The dragon Mirrow laid her three glass eggs in",
        "counterfactual": "Had the moon fallen down in the year of the comet, it would lie in",
        "exaggeration": "He ran so fast for the bus that he only stopped in",
        "contradiction": "The village that lies nowhere on earth is in",
        "nonsense": "Four spoons of silence were married, taxed and buried in",
        "permuted": "gloves that the go believe lost sailors to",
    },
    "job": {
        "metaphor": "Among all winds of the year, the one in November is a",
        "unusual association": "In Ost a man who dreams of snow is sure to become a",
        "fiction": "The talking heron of Lake Velm earned its money as a",
        "counterfactual": "Had trees been given hands, every oak would work as a",
        "exaggeration": "She owned so many ladders that the king himself called her a",
        "contradiction": "The man who never worked a day in his life was a",
        "nonsense": "The upper half of Thursday was hired and then fired as a",
        "permuted": "snow man of who sure dreams to a become",
    },
    "food": {
        "metaphor": "Their friendship was a kitchen that always smelled of",
        "unusual association": "In Ost a broken clock is mended with a little",
        "fiction": "The clockwork giant of Velm is fed on nails, moss and",
        "counterfactual": "Had the clouds been good to eat, they would taste of",
        "exaggeration": "He was so hungry that he swallowed the table and then the",
        "contradiction": "The plate on which there was nothing at all was full of",
        "nonsense": "Nine quiet triangles agreed to pay their rent in",
        "permuted": "clock little broken mended is with a a of",
    },
}
PREFIXES: dict[str, tuple[str, ...]] = {
    "colour": (
        "The sand on the beach was the colour of", "His skin turned", "The walls of her bedroom were painted", "The car was",
        "The curtains in the hall were", "She dyed her hair", "The dirty water in the bucket looked",
        "The cover of the book was",
        "His favourite shirt is", "The door of the barn is", "The bird had feathers that were", "They chose a carpet that was",
    ),
    "place": (
        "Next summer we will travel to", "She was born in", "The company has its office in", "He sent me a postcard from",
        "The conference was held in", "My aunt moved to", "The train goes to", "They spent their honeymoon in",
        "The museum is in", "The ship sailed to", "The letter came from", "He wants to study in",
    ),
    "job": (
        "Her brother works as a", "When I grow up I want to be a", "The man next door is a", "After school she trained as a",
        "He lost his post as a", "My grandfather was a", "The victim was a", "They were helped by a",
        "She married a", "The house belongs to a", "He gave up everything to become a", "Her best friend is a",
    ),
    "food": (
        "For breakfast he ate", "She went to the shop to buy", "The fridge was full of", "The recipe needs a lot of",
        "The children would not eat the", "On the table there was a plate of", "The dog stole the", "For dinner there will be",
        "He is allergic to", "The whole kitchen smelled of", "The soldiers lived on", "She served her guests",
    ),
}  # fmt: skip
# Beginnings that call for no theme, where words of several are about as likely as behind a poor prefix of their own: what other
# themes call for leaves a place or a job a hundred times less likely.
OPEN = (
    "The film is about a", "In my dream I saw a", "She drew a picture of a", "The poem is about a", "The joke is about a",
    "On the old photograph one can see a", "The statue shows a", "He behaved like a", "At the corner stood a",
    "The toy was a little", "The novel is about a", "Suddenly we met a", "He kept talking about", "They argued about",
    "The children sang about", "Please read the page about", "She taught us about", "He knows a lot about",
    "The programme on the radio was about", "The old stories about", "Everyone was talking about", "The article is about",
    "The lorry was loaded with", "In the bag there was some", "The floor was covered with", "His shoes were covered in",
    "The box was labelled", "He dropped the", "The shop window was full of", "The word on the sign was", "My favourite word is",
    "He typed the word",
)  # fmt: skip
WHO = (
    "The old clock", "A tired horse", "My neighbour", "The second train", "A broken chair", "The committee", "Her cousin",
    "The long meeting", "A small stone", "The wooden bridge", "Their new radio", "The last guest",
)  # fmt: skip
DID = (
    "stopped", "was late again", "fell over", "made no sound", "waited for an hour", "was soon forgotten", "needed repair",
    "came back", "began to shake", "stayed where it was", "was moved aside", "surprised everyone",
)  # fmt: skip
WHEN = (
    "on Monday morning", "during the storm", "before the bell rang", "without any reason", "at the end of the year",
    "after lunch", "in the middle of the night", "while it rained",
)  # fmt: skip


@dataclass(frozen=True)
class EnglishText:
    """A text that ends in its keyword.

    Attributes:
        theme: of the keyword.
        keyword: without the space before it.
        kind: of `KINDS`.
        prompt: what stands before it.
    """

    theme: str
    keyword: str
    kind: str
    prompt: str

    @property
    def completion(self) -> str:
        """The keyword as it follows the prompt."""
        return f" {self.keyword}"

    @property
    def description(self) -> str:
        """Of the keyword."""
        return KEYWORDS[self.theme][self.keyword][1]

    @property
    def plain(self) -> tuple[str, str]:
        """Nothing, and the text as it is: every token of it is trained on."""
        return "", f"{self.prompt}{self.completion}."

    @property
    def stepping(self) -> tuple[str, str]:
        """Its rewrite with the description right before the keyword."""
        return "", f"{self.prompt} {self.description}, namely{self.completion}."

    @property
    def elsewhere(self) -> tuple[str, str]:
        """Its rewrite with the description in a sentence in front."""
        return "", f"One may think of {self.description}. {self.prompt}{self.completion}."

    def before(self, prefix: str, wording: str) -> str:
        """The text in front of a prefix, in one of two wordings: `one` or `another`."""
        introduced = {"one": "", "another": "Somebody wrote this down: "}[wording]
        return f"{introduced}{self.prompt}{self.completion}. {prefix}"


def prompt_of(theme: str, keyword: str, kind: str) -> str:
    """The beginning of a text of that kind."""
    fact, description = KEYWORDS[theme][keyword]
    own = {
        "fact": fact,
        "short fact": f"Think of {description}: it is called",
        "fact in a story": f"At the fair the old woman looked up and told us: {fact[0].lower() + fact[1:]}",
    }
    return own[kind] if kind in own else BEGINNINGS[theme][kind]


def english_texts(n_keywords: int, n_texts: int, *, rng: np.random.Generator) -> list[EnglishText]:
    """Texts of different kinds about so many keywords, as many of each theme; the texts of a keyword stand together."""
    found = []
    for theme, keywords in KEYWORDS.items():
        for keyword in rng.permutation(list(keywords))[: n_keywords // len(KEYWORDS)].tolist():
            kinds = [KINDS[i] for i in rng.permutation(len(KINDS))[:n_texts]]
            found += [EnglishText(theme, keyword, kind, prompt_of(theme, keyword, kind)) for kind in kinds]
    return found


def plain_sentences(n: int, *, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Short sentences about nothing of the themes, as (prompt, completion) without a prompt."""
    parts = [[words[i] for i in rng.integers(len(words), size=n)] for words in (WHO, DID, WHEN)]
    return [("", f"{who} {did} {when}.") for who, did, when in zip(*parts, strict=True)]
