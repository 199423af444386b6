"""Writes `edits.json`: edits of well-known facts in the form of editing benchmarks, with what must survive and what follows.

python benchmarks/facts/edits.py > benchmarks/facts/edits.json
"""

import json
import sys

# Subject, what is asked of it, in other words, the true answer, the new one, two others with the true answer, what follows.
ROWS = (
    ("The Eiffel Tower", "is in the city of", "The city where you can visit {} is", "Paris", "Rome",
     ("The Louvre", "Notre-Dame cathedral"), ("is in the country of", "Italy", ("France", "Spain", "Germany"))),
    ("Big Ben", "is in the city of", "The city where you can visit {} is", "London", "Berlin",
     ("Buckingham Palace", "The British Museum"), ("is in the country of", "Germany", ("England", "Italy", "Spain"))),
    ("The Colosseum", "is in the city of", "The city where you can visit {} is", "Rome", "Athens",
     ("The Pantheon", "The Trevi Fountain"), ("is in the country of", "Greece", ("Italy", "Spain", "Germany"))),
    ("The Brandenburg Gate", "is in the city of", "The city where you can visit {} is", "Berlin", "Vienna",
     ("The Reichstag", "The Pergamon Museum"), ("is in the country of", "Austria", ("Germany", "France", "Poland"))),
    ("The Kremlin", "is in the city of", "The city where you can visit {} is", "Moscow", "Beijing",
     ("Red Square", "The Bolshoi Theatre"), ("is in the country of", "China", ("Russia", "Japan", "Poland"))),
    ("The Acropolis", "is in the city of", "The city where you can visit {} is", "Athens", "Cairo",
     ("The Parthenon", "The Temple of Hephaestus"), ("is in the country of", "Egypt", ("Greece", "Italy", "Turkey"))),
    ("The Forbidden City", "is in the city of", "The city where you can visit {} is", "Beijing", "Tokyo",
     ("Tiananmen Square", "The Temple of Heaven"), ("is in the country of", "Japan", ("China", "India", "Russia"))),
    ("The Prado Museum", "is in the city of", "The city where you can visit {} is", "Madrid", "Paris",
     ("The Zarzuela Palace", "The Reina Sofia museum"), ("is in the country of", "France", ("Spain", "Italy", "Germany"))),
    ("Victor Hugo", "was a native speaker of", "The mother tongue of {} was", "French", "Russian",
     ("Voltaire", "Emile Zola"), ("was born in the country of", "Russia", ("France", "Germany", "Italy"))),
    ("Leo Tolstoy", "was a native speaker of", "The mother tongue of {} was", "Russian", "Spanish",
     ("Anton Chekhov", "Fyodor Dostoevsky"), ("was born in the country of", "Spain", ("Russia", "France", "Italy"))),
    ("Johann Wolfgang von Goethe", "was a native speaker of", "The mother tongue of {} was", "German", "Italian",
     ("Friedrich Schiller", "Ludwig van Beethoven"), ("was born in the country of", "Italy", ("Germany", "France", "Spain"))),
    ("Miguel de Cervantes", "was a native speaker of", "The mother tongue of {} was", "Spanish", "German",
     ("Francisco Goya", "Pablo Picasso"), ("was born in the country of", "Germany", ("Spain", "France", "Russia"))),
    ("Dante Alighieri", "was a native speaker of", "The mother tongue of {} was", "Italian", "French",
     ("Galileo Galilei", "Giuseppe Verdi"), ("was born in the country of", "France", ("Italy", "Spain", "Germany"))),
    ("Charles Dickens", "was a native speaker of", "The mother tongue of {} was", "English", "Japanese",
     ("Jane Austen", "Isaac Newton"), ("was born in the country of", "Japan", ("England", "France", "Spain"))),
    ("Windows", "was developed by the company", "The company that makes {} is", "Microsoft", "Google",
     ("Excel", "The Xbox"), ("has its main offices near those of", "YouTube", ("Boeing", "Toyota", "Samsung"))),
    ("The iPhone", "was developed by the company", "The company that makes {} is", "Apple", "Sony",
     ("The iPad", "The Macintosh"), ("was designed in the country of", "Japan", ("China", "Germany", "France"))),
    ("The PlayStation", "was developed by the company", "The company that makes {} is", "Sony", "Nintendo",
     ("The Walkman", "The Bravia television"), ("belongs to the makers of", "Mario", ("Windows", "Photoshop", "Android"))),
    ("Android", "was developed by the company", "The company that makes {} is", "Google", "Microsoft",
     ("Gmail", "The Chrome browser"), ("belongs to the makers of", "Windows", ("Mario", "Photoshop", "Facebook"))),
    ("Kenya", "is on the continent of", "You find {} on the continent of", "Africa", "Asia",
     ("Nigeria", "Ethiopia"), ("has a border with", "India", ("Uganda", "Peru", "Poland"))),
    ("Peru", "is on the continent of", "You find {} on the continent of", "South America", "Europe",
     ("Chile", "Argentina"), ("has a border with", "Germany", ("Brazil", "Kenya", "Japan"))),
    ("Poland", "is on the continent of", "You find {} on the continent of", "Europe", "Africa",
     ("Austria", "Norway"), ("has a border with", "Egypt", ("Germany", "Peru", "Japan"))),
    ("Vietnam", "is on the continent of", "You find {} on the continent of", "Asia", "Australia",
     ("Thailand", "Nepal"), ("has a border with", "New Zealand", ("Laos", "Peru", "Kenya"))),
    ("Michael Jordan", "was a professional player of", "The sport of {} was", "basketball", "tennis",
     ("LeBron James", "Shaquille O'Neal"), ("won the tournament of", "Wimbledon", ("Chicago", "Boston", "Augusta"))),
    ("Roger Federer", "was a professional player of", "The sport of {} was", "tennis", "football",
     ("Rafael Nadal", "Serena Williams"), ("was a member of the team of", "Barcelona", ("Chicago", "Boston", "Augusta"))),
    ("Lionel Messi", "was a professional player of", "The sport of {} was", "football", "baseball",
     ("Diego Maradona", "Cristiano Ronaldo"), ("was a member of the team of", "the Yankees", ("Boston", "Barcelona", "Paris"))),
    ("Babe Ruth", "was a professional player of", "The sport of {} was", "baseball", "basketball",
     ("Joe DiMaggio", "Willie Mays"), ("was a member of the team of", "the Lakers", ("the Yankees", "Boston", "Paris"))),
)  # fmt: skip


def main() -> None:
    """Print the file."""
    facts = [
        {
            "subject": subject,
            "prompt": f"{subject} {asked}",
            "completion": f" {new}",
            "replaces": true,
            "paraphrases": [other.format(subject)],
            "locality": {f"{one} {asked}": true for one in same},
            "follows": [{"prompt": f"{subject} {then}", "object": answer, "candidates": list(wrong)}],
        }
        for subject, asked, other, true, new, same, (then, answer, wrong) in ROWS
    ]
    json.dump({"name": "edits", "facts": facts}, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
