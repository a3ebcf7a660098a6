#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write short children's stories from a hand-made grammar.

Every sentence comes from the templates in this file; no other text is used. A story has a hero,
a friend, an elder, one small world with named places, and one of the plots in the second half of
the file. Names, pronouns, things and places are drawn once per story and kept to its end.

    generate.py --seed 1 --count 40 > stories.txt

Template notation: [x|y|z] picks one; {a} is the hero's name, {a.he} {a.him} {a.his} the
pronouns; {a:s} is the name or the subject pronoun, whichever reads clearly; {b} is the friend,
{h} the elder, {obj} a thing with its color, {t} the thing, {p} {q} {r} three places.
"""

import argparse
import random
import re

SEPARATOR = "<|endoftext|>"

# No two names begin with the same letter, so one piece of the vocabulary tells them apart.
GIRLS = "Anna Dora Emma Ida Lily Nora Rosa Vera".split()
BOYS = "Ben Finn Hugo Jack Max Otto Sam Tom".split()
ANIMALS = "bear fox rabbit mouse duck frog".split()

COLORS = "red blue green yellow white black".split()
TREASURES = "ball hat scarf drum cup bell book boat box kite".split()

# (where, places, do animals live there)
WORLDS = [
    ("in a small town", "the park|the market|the school|the bridge|the fountain", False),
    ("in a little village", "the barn|the mill|the old well|the apple tree|the pond", False),
    ("by the sea", "the beach|the harbor|the lighthouse|the big rocks|the old boat", False),
    ("in a deep forest", "the old oak|the stream|the big rock|the cave|the berry bush", True),
    ("in a green valley", "the pond|the tall grass|the stone wall|the hill|the river", True),
]

TRAITS = ["kind", "brave", "shy", "clever", "gentle", "cheerful"]
HOBBIES = ["sing loud songs", "paint big pictures", "climb trees", "look at the stars",
           "collect stones", "read long books", "dance in the rain", "tell funny stories"]

PEOPLE_ELDERS = [("the baker", "he"), ("the farmer", "he"), ("the teacher", "she"),
                 ("Grandma", "she"), ("Grandpa", "he")]
ANIMAL_ELDERS = [("the old owl", "she"), ("the wise turtle", "he"), ("Grandma", "she"),
                 ("Grandpa", "he")]

# A sentence goes on after a quotation with one of these.
SPEECH = r"(?:(?:he|she|it|they all) )?(?:said|asked|cried|called|whispered|shouted)\b"

PRONOUNS = {"he": ("he", "him", "his"), "she": ("she", "her", "her")}


class Who:
    """One character; format spec "s" asks for a name or a subject pronoun."""

    def __init__(self, story, name, kind, he):
        self.story, self.name, self.kind = story, name, kind
        self.he, self.him, self.his = PRONOUNS[he]

    def __format__(self, spec):
        story = self.story
        if spec == "s":
            if story.focus is self and story.rng.random() < 0.6:
                return self.he
            story.focus = self
        elif story.focus is not self and story.focus and story.focus.he == self.he:
            story.focus = None
        return self.name


class Story:
    """Characters, things and places of one story, and the text written so far."""

    def __init__(self, rng):
        self.rng, self.focus, self.text = rng, None, [[]]
        where, places, wild = rng.choice(WORLDS)
        she = rng.random() < 0.5
        kinds = rng.sample(ANIMALS, 2) if wild else ["girl", "boy"] if she else ["boy", "girl"]
        names = [GIRLS, BOYS] if she else [BOYS, GIRLS]
        he = ["she", "he"] if she else ["he", "she"]
        a, b = (Who(self, rng.choice(names[i]), kinds[i], he[i]) for i in (0, 1))
        elder = rng.choice(ANIMAL_ELDERS if wild else PEOPLE_ELDERS)
        h = Who(self, elder[0], "elder", elder[1])
        p, q, r = rng.sample(places.split("|"), 3)
        self.wild, self.color = wild, rng.choice(COLORS)
        self.v = {"a": a, "b": b, "h": h, "p": p, "q": q, "r": r, "bkind": b.kind,
                  "color": self.color, "where": where}
        self.thing(rng.choice(TREASURES))

    def thing(self, name):
        self.v["t"], self.v["obj"] = name, self.color + " " + name

    def pick(self, text):
        """Resolve the [x|y] choices, innermost first."""
        while "[" in text:
            text = re.sub(r"\[([^\[\]]*)\]",
                          lambda m: self.rng.choice(m.group(1).split("|")), text)
        return text

    def say(self, *templates):
        """Add one of the templates to the current paragraph."""
        text = self.pick(self.rng.choice(templates)).format(**self.v)
        text = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", self.pick(text))
        text = re.sub(r"(?:^|(?<=[.!?] )|(?<=[.!?]\" ))(?!%s)[a-z]" % SPEECH,
                      lambda m: m.group().upper(), text)
        self.text[-1].append(" ".join(text.split()))

    def maybe(self, chance, *templates):
        if self.rng.random() < chance:
            self.say(*templates)

    def paragraph(self):
        self.focus = None
        self.text.append([])

    def __str__(self):
        return "\n".join(" ".join(p) for p in self.text if p)


# ---- sentences shared by the plots ----

def intro(s):
    a = s.v["a"]
    s.v["trait"], s.v["hobby"] = s.rng.choice(TRAITS), s.rng.choice(HOBBIES)
    s.v["akind"] = a.kind
    s.say("Once upon a time, there was a little {akind} named {a}.",
          "Once there was a {trait} {akind} named {a}.",
          "Once upon a time, a {trait} {akind} named {a} lived {where}.",
          "{a} was a little {akind} who lived {where}.",
          "There once was a {trait} little {akind} named {a}.")
    s.focus = a
    s.maybe(0.6, "{a:s} loved to {hobby}.", "{a:s} liked to {hobby}.",
            "Every day, {a.he} liked to {hobby}.")


def family(s):
    """Make the elder one of the hero's family."""
    a = s.v["a"]
    name, he = s.rng.choice([(a.his + " mother", "she"), (a.his + " father", "he"),
                             ("Grandma", "she"), ("Grandpa", "he")])
    s.v["h"] = Who(s, name, "elder", he)


def meet_friend(s):
    """Name the friend for the first time."""
    s.say("{a.his} best friend was a {bkind} named {b}.",
          "{a} had a good friend, a {bkind} named {b}.")


def friend_comes(s):
    """The friend walks in; first time the name is used."""
    s.say("Just then, a {bkind} named {b} came by.", "Soon, a kind {bkind} named {b} came along.")
    s.focus = s.v["b"]


def one_day(s):
    s.v["day"] = s.pick("One [sunny|warm|cold|bright|windy] [morning|day]")


def ask_trouble(s):
    s.say("\"What is wrong, {a}?\" asked {b}.", "\"Why are you so sad?\" asked {b}.",
          "\"Can I help you?\" asked {b}.")


def thanks(s):
    s.say("\"Thank you, {b}!\" said {a}. \"You are a good friend.\"",
          "{a} gave {b} a big hug and said, \"Thank you!\"",
          "\"Thank you,\" said {a}. {b} smiled and said, \"That is what friends are for.\"")


def happy(s, who="a"):
    s.v["x"] = s.v[who]
    s.say("{x} was so happy that {x.he} danced.", "{x} smiled a big smile.",
          "{x} felt warm and happy inside.", "{x} jumped up and down with joy.")


def sad(s, who="a"):
    s.v["x"] = s.v[who]
    s.say("{x} felt very sad.", "{x} began to cry.", "{x} did not know what to do.",
          "{x} sat down and cried.")


def closing(s, *lessons):
    """End the story: a lesson of the plot, a quiet evening or both."""
    s.paragraph()
    if s.rng.random() < 0.3:
        s.say("That night, {a} went to bed with a smile.",
              "When the sun went down, {a} went home, tired but happy.",
              "That night, the stars were bright, and {a} slept very well.")
    s.say(*lessons)
    s.maybe(0.3, "And they were all very happy.", "{a} never forgot that day.",
            "It was a day to remember.", "The end.")


FRIENDS_END = ("From that day on, {a} and {b} were the best of friends.",
               "{a} and {b} played together every day after that.")


# ---- plots ----

def lost_thing(s):
    intro(s)
    s.say("{a.his} favorite thing was a {obj}.", "{a.he} had a {obj} and loved it very much.",
          "{a.he} had a {obj}. It was a gift from {h}.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} could not find the {obj}.", "{day}, the {obj} was gone.",
          "{day}, {a} looked for the {obj}, but it was not there.")
    s.say("{a.he} looked near {p}. It was not there. {a.he} looked near {q}. It was not there.",
          "{a.he} ran to {p} and looked all around, but there was no {t}.",
          "{a.he} looked under the bed and behind the door, but there was no {t}.")
    sad(s)
    s.paragraph()
    friend_comes(s)
    ask_trouble(s)
    s.say("\"I lost my {obj},\" said {a}.", "\"I cannot find my {obj},\" said {a}.")
    s.say("\"I saw something {color} near {r},\" said {b}. \"Come with me.\"",
          "\"Do not cry,\" said {b}. \"Let us look near {r}.\"")
    s.say("They ran to {r}.", "They walked to {r} together.")
    s.say("There, under a leaf, was the {obj}!", "There, in the grass, was the {obj}!",
          "{b} saw something {color}. It was the {t}!",
          "A bird sat there with the {obj}. It saw them, dropped the {t} and flew away.")
    happy(s)
    thanks(s)
    closing(s, "After that, {a} always put the {t} back in its place.",
            "{a} never lost the {obj} again.",
            "{a} learned that it is good to ask a friend for help.", *FRIENDS_END)


def stuck_thing(s):
    intro(s)
    meet_friend(s)
    s.thing(s.rng.choice(["ball", "kite", "hat", "scarf"]))
    s.v["tree"] = s.rng.choice(["tree", "roof", "wall"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} and {b} played with a {obj} near {p}.",
          "{day}, {a} took a {obj} to {p}, and {b} came too.")
    s.say("The wind was strong. It took the {t} up and put it on a tall {tree}.",
          "The wind blew the {t} up, up, up, and it got stuck on a tall {tree}.")
    s.say("{a} jumped as high as {a.he} could, but {a.he} was too small.",
          "{a} tried to reach the {t}, but it was too high.")
    s.say("{b} threw a stick at the {t}, but it did not move.",
          "{b} tried to climb up, but it was too hard.",
          "\"I cannot reach it,\" said {b}.")
    s.paragraph()
    way = s.rng.randrange(3)
    if way == 0:
        s.say("\"I know!\" said {b}. \"Stand on my back.\"")
        s.say("{a} stood on {b}'s back and reached up, higher and higher.",
              "{a} climbed up. Now {a.he} could just touch the {t}.")
        s.say("Down came the {t}!", "\"I have it!\" cried {a}.")
        thanks(s)
    elif way == 1:
        s.say("Then {h} came by with a long ladder.", "They ran to {h} and asked for help.")
        s.say("{h} put a ladder on the {tree}, climbed up, and got the {t}.")
        s.say("\"Thank you!\" said {a} and {b}.", "\"Here is your {t},\" said {h}.")
    else:
        s.say("A little bird saw them. \"I can help you,\" said the bird.")
        s.say("The bird flew up to the top of the {tree} and brought the {t} down.")
        s.say("{a} gave the bird some bread.", "\"Thank you, little bird!\" said {a} and {b}.")
    happy(s)
    closing(s, "After that, {a} held the {t} with both hands when it was windy.",
            "They played with the {obj} until the sun went down.", *FRIENDS_END)


def lost_baby(s):
    intro(s)
    s.v["baby"] = s.rng.choice(["kitten", "puppy", "lamb", "bird"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} walked to {p} and heard a small sound.",
          "{day}, {a} was near {p} when {a.he} heard someone cry.")
    s.say("It was a little {baby}, all alone.", "A little {baby} sat in the grass and cried.")
    s.say("\"Are you lost?\" asked {a}.", "\"Do not be afraid,\" said {a}.")
    s.say("\"I cannot find my mother,\" said the {baby}.",
          "\"I want my mother,\" cried the {baby}.")
    s.say("\"I will help you find her,\" said {a}, and took the {baby} in {a.his} arms.",
          "\"Come with me,\" said {a}. \"We will find her.\"")
    s.paragraph()
    s.say("First they went to {q}, but no one was there.",
          "They looked near {q}, but the mother was not there.")
    s.say("Then they met {h}. \"I saw the mother near {r},\" said {h}.",
          "Then the {baby} heard something. It came from {r}.")
    s.say("They ran to {r}, and there was the mother!",
          "They ran to {r}. The {baby} jumped down and ran to its mother.")
    s.say("\"My baby!\" she cried. \"I looked for you everywhere.\"",
          "The mother kissed her baby on the head.")
    s.say("\"Thank you for your help,\" she said to {a}.")
    happy(s)
    closing(s, "Every day, the {baby} came to {p} to play with {a}.",
            "{a} and the little {baby} were good friends from that day on.",
            "And the {baby} never ran too far again.")


def afraid(s):
    intro(s)
    family(s)
    s.v["fear"], s.v["test"], s.v["see"], s.v["sign"] = s.rng.choice([
        ("the dark", "go outside at night", "the stars were like little lights",
         "Every night, {a} hid under the blanket."),
        ("the thunder", "stand at the window", "the thunder was only a loud drum in the sky",
         "When dark clouds came, {a} hid under the bed."),
        ("the water", "step into the water", "the water was clear and warm",
         "When the others went to swim, {a} stayed on the grass."),
        ("high places", "climb to the top of the hill", "the world was green and wide",
         "When the others climbed the hill, {a} stayed at home.")])
    s.say("But {a} was afraid of {fear}.", "But there was one problem. {a} was afraid of {fear}.")
    s.say(s.v["sign"])
    s.paragraph()
    s.say("One day, {a} told {h} about it.", "{h} saw that {a} was afraid.")
    s.say("\"Everyone is afraid of something,\" said {h}. \"I was afraid of {fear} too.\"",
          "\"We can try it together,\" said {h}. \"One small step is enough.\"")
    s.say("{h} took {a.his} hand.", "{h} gave {a.him} a big hug.")
    s.paragraph()
    s.say("{a}'s heart beat fast, but {a.he} wanted to {test}.",
          "Slowly, very slowly, {a} began to {test}.")
    s.maybe(0.5, "\"I can do it,\" said {a}.", "One, two, three!")
    s.say("And then {a.he} saw that {see}.", "It was not so bad. {a} saw that {see}.")
    s.say("\"I did it!\" cried {a}.", "\"I am not afraid anymore!\" said {a}.")
    s.say("\"I am proud of you,\" said {h}.", "{h} smiled. \"I knew you could do it.\"")
    closing(s, "From that day on, {a} was not afraid of {fear}.",
            "{a} learned that brave means to try, even when you are afraid.")


def baking(s):
    intro(s)
    s.v["dish"] = s.rng.choice(["cake", "soup", "bread"])
    s.v["miss"] = s.rng.choice(["milk", "salt", "butter", "honey"])
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} wanted to make some {dish} for {h}.",
          "{day}, {a} said, \"Today, I will make {dish} for {h}.\"")
    s.say("{a} put a big bowl on the table and began to work.")
    s.say("But there was one problem. There was no {miss}.",
          "\"Oh no,\" said {a}. \"We have no {miss}!\"")
    sad(s)
    s.paragraph()
    s.say("{a} went to {b} and asked, \"Do you have some {miss}?\"",
          "{a} ran to {b}'s house. \"Do you have some {miss}?\" {a.he} asked.")
    s.say("\"I have some {miss},\" said {b}. \"May I help you?\"",
          "\"Yes,\" said {b}. \"Let us make the {dish} together.\"")
    s.say("{a} held the big bowl, and {b} put in the {miss}.",
          "They worked side by side, and they laughed a lot.")
    s.say("Soon the whole house smelled good.", "At last, the {dish} was ready.")
    s.say("{h} tried the {dish} and said, \"This is the best {dish} I ever had!\"",
          "Then they sat at the table with {h} and ate it all.")
    s.maybe(0.5, "\"{b} helped me,\" said {a}.", "\"We made it together,\" said {a} and {b}.")
    closing(s, "{a} learned that work is more fun with a friend.",
            "From then on, {a} and {b} made {dish} together every week.", *FRIENDS_END)


def sharing(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, they found a {obj} near {p}.", "{day}, {h} gave them a {obj}.")
    s.say("\"It is mine!\" said {a}. \"No, it is mine!\" said {b}.",
          "\"I saw it first,\" said {a}. \"No, I saw it first!\" said {b}.")
    s.say("{b} went home and closed the door.", "{b} began to cry and ran away.")
    s.paragraph()
    s.say("{a} sat alone with the {t}. It was no fun at all.",
          "Soon {a} felt bad. It was very quiet without {b}.")
    s.say("{h} came and asked, \"Why are you not playing with {b}?\"",
          "\"Where is {b} today?\" asked {h}.")
    s.say("\"We both want the {obj},\" said {a}.")
    s.say("\"A {t} is nice,\" said {h}, \"but a friend is better.\"",
          "\"You can take turns,\" said {h}. \"First {b}, then you.\"")
    s.say("{a} knew what to do. {a.he} took the {t} and ran to {b}.",
          "So {a} took the {obj} and went to {b}.")
    s.paragraph()
    s.say("\"I am sorry,\" said {a}. \"You can have the {t} first.\"",
          "\"I am sorry, {b},\" said {a}. \"Let us share the {t}.\"")
    s.say("\"I am sorry too,\" said {b}.", "{b} smiled and gave {a} a hug.")
    s.say("They played with the {t} all day.", "They took turns with the {t} near {q}.")
    closing(s, "{a} learned that sharing makes every game better.",
            "And the {obj} belonged to both of them.", *FRIENDS_END)


def broken_thing(s):
    intro(s)
    family(s)
    s.thing(s.rng.choice(["cup", "lamp", "bowl", "clock"]))
    s.say("{h} had an old {obj} and loved it very much.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} played with a ball in the house. Crash! The ball hit the {t}, and it broke.",
          "{day}, {a} danced in the house. Crash! The {obj} fell down, and it broke.")
    s.say("\"Oh no,\" said {a}. \"What have I done?\"", "{a}'s heart beat fast.")
    s.say("{a} was so afraid that {a.he} ran to {p} and hid there.",
          "{a} hid the {t} under the bed and ran to {p}.")
    s.paragraph()
    friend_comes(s)
    ask_trouble(s)
    s.say("\"I broke the {obj},\" said {a}.")
    s.say("\"You must tell the truth,\" said {b}. \"I will come with you.\"",
          "\"Tell {h} the truth,\" said {b}. \"You will feel better.\"")
    s.say("{a} was afraid, but {a.he} knew that {b} was right.",
          "So they walked back together.")
    s.paragraph()
    s.say("\"I broke your {t},\" {a} said to {h}. \"I am so sorry.\"",
          "{a} went to {h} and told the truth. \"I am very sorry,\" {a.he} said.")
    s.say("{h} was a little sad, but not angry.", "{h} was quiet. Then {h.he} smiled.")
    s.say("\"Thank you for the truth,\" said {h}. \"Let us mend the {t} together.\"",
          "\"A {t} is only a {t},\" said {h}. \"I am proud that you told me.\"")
    closing(s, "From then on, {a} always told the truth.",
            "{a} learned that the truth makes the heart light.")


def picnic(s):
    intro(s)
    meet_friend(s)
    s.v["food"] = s.rng.choice(["bread and honey", "apples and cheese", "cake and milk"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} and {b} wanted to have a picnic near {p}.",
          "{day}, {a} said, \"Let us have a picnic near {p}.\" \"Yes!\" said {b}.")
    s.say("They put {food} into a basket.", "{h} gave them a basket with {food}.")
    s.say("They sang and laughed all the way.")
    s.paragraph()
    s.say("But then dark clouds came, and it began to rain.",
          "But soon the wind was cold, and it began to rain.")
    s.say("\"Our picnic!\" cried {b}.", "\"Oh no! What can we do now?\" asked {b}.")
    s.say("\"Let us run to {q},\" said {a}.")
    s.say("They took the basket and ran to {q}.")
    s.say("There it was dry. They sat down and ate {food}.",
          "There they found a dry place and opened the basket.")
    s.maybe(0.5, "They told stories and listened to the rain.",
            "\"This is even better than a picnic in the sun,\" said {b}.")
    s.say("When the rain stopped, there was a big rainbow in the sky.",
          "At last, the sun came back.")
    s.say("\"Look, how beautiful!\" said {b}.", "\"I am glad that it rained,\" said {a}.")
    closing(s, "They learned that a little rain cannot stop a good day.",
            "They went home with wet feet and happy hearts.", *FRIENDS_END)


def garden(s):
    intro(s)
    s.v["plant"] = s.rng.choice(["flower", "tree", "rose", "bush"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {h} gave {a} a little seed. \"Take good care of it,\" said {h}.",
          "{day}, {a} found a little seed near {p}.")
    s.say("{a} put the seed in the ground and gave it water.")
    s.say("Every morning, {a} looked at the ground, but nothing happened.",
          "{a} waited one day, two days, three days. Nothing came up.")
    sad(s)
    s.say("\"My seed does not want to grow,\" said {a}.", "\"It will never grow,\" said {a}.")
    s.say("\"Good things need time,\" said {h}.", "\"Wait a little longer,\" said {h}.")
    s.paragraph()
    s.say("So {a} sang to the seed and waited.", "So {a} gave the seed water every day.")
    s.say("Then, one morning, there was a little green leaf.",
          "At last, after the rain, a little green leaf came up.")
    s.say("\"Look!\" cried {a}. \"It is growing!\"", "{a} ran to {h} and called, \"Come and see!\"")
    s.say("It grew and grew, and soon it was a {plant}.",
          "The leaf grew bigger every day, and soon it was a {plant}.")
    s.say("\"That is the best {plant} I have ever seen,\" said {h}.",
          "It was the most beautiful {plant} of all.")
    happy(s)
    closing(s, "{a} learned that good things take time.",
            "After that, {a} sat next to the {plant} every day.")


def race(s):
    intro(s)
    meet_friend(s)
    s.v["prize"] = s.rng.choice(["a big cake", "a {color} hat", "a {color} cup"]).format(**s.v)
    s.paragraph()
    s.say("One day, there was a big race from {p} to {q}. The prize was {prize}.")
    s.say("\"I want to win,\" said {a}.", "\"I will run as fast as the wind,\" said {a}.")
    s.say("\"One, two, three, go!\" called {h}, and they all began to run.")
    s.say("{a} ran very fast. Soon {a.he} was in front.",
          "{a} and {b} were faster than all the others.")
    s.paragraph()
    s.say("But near {r}, {b} fell over a stone and hurt {b.his} foot.",
          "But near {r}, {b} fell down and began to cry.")
    s.say("{a} could win now. But {a.his} friend needed help.",
          "{a} stopped. The others ran past {a.him}.")
    s.say("\"Run!\" said {b}. \"You can win!\"", "\"Do not wait for me,\" said {b}.")
    s.say("\"A friend is better than a race,\" said {a}.",
          "\"I will not leave you here,\" said {a}.")
    s.say("{a} helped {b} up, and they walked to {q} side by side.")
    s.say("They were the last, but everyone clapped.")
    s.say("\"You have a big heart,\" said {h} to {a}.",
          "{h} gave them {prize}. \"This is for good friends,\" said {h}.")
    happy(s)
    closing(s, "{a} learned that a friend is better than any prize.", *FRIENDS_END)


def gift(s):
    intro(s)
    meet_friend(s)
    s.v["made"], s.v["stuff"] = s.rng.choice([
        ("picture", "paper and paint"), ("crown", "flowers and grass"), ("boat", "wood and a leaf"),
        ("card", "paper and paint")])
    s.paragraph()
    s.say("Tomorrow was {b}'s birthday, and {a} wanted to give {b.him} a gift.",
          "It was almost {b}'s birthday, and {a} needed a gift.")
    s.say("But {a} had no money.", "{a} looked near {p}, but {a.he} could not find a gift.")
    sad(s)
    s.say("\"What is a good gift?\" {a} asked {h}.", "{a} went to {h} and asked what to do.")
    s.say("\"The best gift comes from the heart,\" said {h}.",
          "\"You can make something,\" said {h}.")
    s.paragraph()
    s.say("So {a} took {stuff} and made a {made}.",
          "Then {a} had an idea. {a.he} took {stuff} and made a {made}.")
    s.maybe(0.5, "It was hard, but {a} did not stop until the {made} was ready.",
            "When the moon came up, the {made} was ready.")
    s.say("In the morning, {a} ran to {b}'s house.", "The next day, {a} went to {b}.")
    s.say("\"Happy birthday!\" said {a}, and gave {b.him} the {made}.",
          "\"I made a {made} for you,\" said {a}.")
    s.say("\"It is the best gift of all!\" said {b}.", "{b} smiled and said, \"I love it!\"")
    happy(s)
    closing(s, "{a} learned that the best gifts come from the heart.",
            "They ate cake and danced until it was dark.", *FRIENDS_END)


def sick_friend(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} went to {p} to play, but {b} was not there.",
          "{day}, {b} did not come out to play.")
    s.say("\"{b} is sick and must stay in bed,\" said {h}.")
    s.say("{a} wanted to help. {a.he} made some soup and went to {b}.",
          "{a} wanted to help. {a.he} took a {color} book and went to {b}.")
    s.paragraph()
    s.say("\"I feel so bad,\" said {b}.", "\"I am glad that you came,\" said {b}.")
    s.say("{a} sat down by the bed and told a funny story.",
          "{a} sat down by the bed and sang a song.")
    s.say("{b} laughed for the first time that day.", "Soon {b} smiled again.")
    s.say("Every day, {a} came back with a new story.", "The next day, {a} came again.")
    s.say("At last, {b} jumped out of bed. \"I am well!\" {b.he} called.",
          "Soon {b} could go outside again.")
    s.say("They ran to {q} and played all day.", "They ran to {q} and danced in the sun.")
    s.say("\"Thank you, {a}!\" said {b}. \"You are a good friend.\"")
    closing(s, "{a} learned that a visit can make you well.",
            "When {a} was sick, {b} came every day.", *FRIENDS_END)


def lost_way(s):
    intro(s)
    s.v["lure"] = s.rng.choice(["butterfly", "white bird", "yellow leaf"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} saw a {lure} near {p} and went after it.",
          "{day}, {a} ran after a {lure}, past {p}, too far from home.")
    s.say("Then the {lure} was gone, and {a} did not know the way home.",
          "Soon {a.he} did not know where {a.he} was.")
    s.say("It was getting dark.", "The wind was cold.")
    sad(s)
    s.say("\"I want to go home,\" said {a}.")
    s.paragraph()
    friend_comes(s)
    s.say("\"Are you lost?\" asked {b}.", "\"Where do you live?\" asked {b}.")
    s.say("\"I live near {q},\" said {a}, \"but I do not know the way.\"")
    s.say("\"I know the way to {q},\" said {b}. \"Come with me.\"",
          "\"Do not cry,\" said {b}. \"I will show you the way to {q}.\"")
    s.say("They walked past {r}. {b} sang a song, and {a} was not afraid anymore.",
          "Hand in hand, they walked past {r}.")
    s.say("Soon they came to {q}. \"I can see my house!\" cried {a}.",
          "At last, {a} saw {q} and a light in a window.")
    s.say("{a.his} mother stood at the door and called {a.his} name.",
          "{a.his} father stood at the door and hugged {a.him}.")
    thanks(s)
    closing(s, "After that, {a} never went too far alone.", *FRIENDS_END)


def learning(s):
    intro(s)
    s.v["skill"], s.v["try"], s.v["fail"] = s.rng.choice([
        ("swim", "jumped into the water", "went down like a stone"),
        ("skate", "stepped on the ice", "fell on the cold ice"),
        ("dance", "turned around and around", "fell down"),
        ("play the drum", "hit the drum", "made only a bad sound")])
    meet_friend(s)
    s.paragraph()
    s.say("{b} could {skill} very well, but {a} could not.",
          "{a} wanted to learn to {skill}, just like {b}.")
    s.say("{a} {try}, but {a.he} {fail}.")
    s.say("{a} tried again and again, but it did not work.")
    sad(s)
    s.say("\"I will never learn it,\" said {a}.", "\"It is too hard,\" said {a}.")
    s.paragraph()
    s.say("\"Do not give up,\" said {b}. \"I will show you.\"",
          "\"I could not do it at first,\" said {b}. \"Try a little every day.\"")
    s.say("So every day, they went to {p} and tried together.")
    s.say("Slowly, {a} got better.", "Day by day, {a} got a little better.")
    s.say("Then one day, it worked! {a} could {skill}!",
          "At last, {a} could {skill} all alone.")
    s.say("\"Look at me!\" called {a}.", "{b} clapped with joy.")
    thanks(s)
    closing(s, "{a} learned that you must try many times to learn something new.",
            "And now {a} and {b} could {skill} together every day.")


def night_noise(s):
    intro(s)
    family(s)
    s.v["guest"] = s.rng.choice(["kitten", "puppy", "lamb", "bird"])
    s.v["noise"] = s.rng.choice(["tap, tap, tap", "bump, bump, bump"])
    s.v["spot"] = s.rng.choice(["behind the door", "under the table", "under the window"])
    s.paragraph()
    s.say("One night, {a} lay in bed and heard a noise. It went {noise}.",
          "One dark night, {a} woke up. There was a noise. It went {noise}.")
    s.say("\"Is it a monster?\" asked {a}.", "{a} hid under the blanket.")
    s.say("The noise came again, {noise}. It came from {spot}.")
    s.say("{a} went to {h}. \"There is a monster {spot}!\" {a.he} said.")
    s.say("\"Let us look together,\" said {h}, and took a lamp.")
    s.paragraph()
    s.say("They walked very slowly. {a} held {h.his} hand.", "{a}'s heart beat fast.")
    s.say("There, {spot}, was a little {guest}!",
          "And what did they see {spot}? It was only a little {guest}!")
    s.say("It was cold and wet, and more afraid than {a}.")
    s.say("\"You are not a monster,\" said {a}, and laughed.",
          "\"Do not be afraid, little {guest},\" said {a}.")
    s.say("{a} gave the {guest} some milk and a warm place to sleep.",
          "{a} put the {guest} in a basket with a warm blanket.")
    s.maybe(0.5, "\"Can it stay?\" asked {a}. \"Yes, it can,\" said {h}.")
    closing(s, "After that, {a} was not afraid of noises in the night.",
            "And the {guest} came to visit {a} every night.")


def snow_day(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    s.say("One winter morning, everything was white with snow.",
          "One morning, {a} looked out of the window and saw snow everywhere.")
    s.say("{a} put on a {color} hat and ran outside, where {b} was waiting.",
          "\"Come out!\" called {b}. \"Let us play in the snow!\"")
    s.say("They went to {p} and made a big snowman.")
    s.say("{a} found two stones for the eyes, and {b} gave it a {color} scarf.",
          "{b} gave it a {color} scarf, and {a} gave it a smile made of little stones.")
    s.maybe(0.5, "\"He looks like {h},\" said {a}, and they laughed.")
    s.paragraph()
    s.say("But the next day, the sun was warm, and the snowman got smaller.",
          "But then the sun came out, and the snowman began to melt.")
    s.say("\"Our snowman is going away,\" said {a}.", "\"Please do not go,\" said {a}.")
    sad(s)
    s.say("\"Do not be sad,\" said {h}. \"He will come back next winter.\"",
          "\"Snow goes away,\" said {h}, \"but it always comes back.\"")
    s.say("In spring, white flowers grew in that place near {p}.",
          "In spring, yellow flowers grew in that place near {p}.")
    s.say("\"Look,\" said {b}. \"The snowman gave us a gift.\"",
          "{a} smiled and was not sad anymore.")
    closing(s, "When the next winter came, {a} and {b} made an even bigger snowman.",
            *FRIENDS_END)


def found_thing(s):
    """A found thing goes back to its owner."""
    intro(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} walked near {p} and saw something in the grass. It was a {obj}.",
          "{day}, {a} found a {obj} near {p}.")
    s.say("\"How beautiful!\" said {a}. \"I will keep it.\"", "{a} wanted to keep the {t}.")
    s.say("But then {a.he} said, \"Maybe someone is looking for this {t}.\"",
          "But {a} knew that the {t} was not for {a.him} to keep.")
    s.paragraph()
    s.say("{a} asked {h}, \"Is this your {t}?\" \"No,\" said {h}. \"Try near {q}.\"",
          "First {a} went to {h}. \"It is not mine,\" said {h}. \"Try near {q}.\"")
    s.say("Near {q}, {a} saw a {bkind} who was very sad. {b.his} name was {b}.",
          "Near {q} sat a {bkind} named {b}, who was crying.")
    s.say("\"I lost my {obj},\" said {b}.", "\"I looked all day for my {obj},\" said {b}.")
    s.say("\"Is it this one?\" asked {a}, and held up the {obj}.",
          "{a} smiled and gave {b.him} the {obj}.")
    s.say("\"Yes! You found it!\" cried {b}, and hugged {a}.",
          "{b} jumped with joy. \"Thank you, {a}!\" {b.he} said.")
    s.maybe(0.5, "\"Come to my house,\" said {b}. \"We have cake.\"")
    happy(s)
    closing(s, "{a} lost a {t} but found a friend.",
            "{a} learned that it feels good to give things back.", *FRIENDS_END)


def hurt_bird(s):
    intro(s)
    family(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} found a little {color} bird near {p}. It could not fly.",
          "{day}, a {color} bird fell down in front of {a}.")
    s.say("\"I will take care of you,\" said {a}.", "\"Do not be afraid,\" said {a}.")
    s.say("\"I cannot fly home,\" said the bird.", "The bird looked very sad.")
    s.say("{a} put the bird in a basket with a warm blanket and took it to {h}.")
    s.say("\"It needs food and time,\" said {h}. \"Then it will fly again.\"")
    s.paragraph()
    s.say("Every day, {a} gave the bird bread and water.",
          "Day by day, the bird got a little better.")
    s.say("At night, the bird sang a song, and {a} listened.",
          "The bird told {a} stories about the sky.")
    s.say("Then one day, the bird was well again.", "At last, the bird could fly again.")
    s.say("\"A bird needs the sky,\" said {h}. {a} opened the window.",
          "\"I will never forget you,\" said {a}, and opened the window.")
    s.say("The bird sang one more song and flew away to {q}.",
          "The bird flew up, up, up, into the blue sky.")
    closing(s, "In spring, the bird came back and sang at {a}'s window.",
            "Every morning, {a} heard the bird sing near {q}.")


def new_friend(s):
    intro(s)
    s.paragraph()
    s.say("One day, a new {bkind} came to live near {p}. {b.his} name was {b}.")
    s.say("{b} sat alone and did not talk.", "{b} was very shy.",
          "Nobody played with {b}.")
    s.say("\"What can I do?\" {a} asked {h}.", "{a} told {h} about it.")
    s.say("\"Just say hello,\" said {h}.", "\"{b} needs a friend,\" said {h}.")
    s.paragraph()
    s.say("So {a} took a {obj} and went to {b}. \"Hello, I am {a},\" {a.he} said.",
          "The next day, {a} took a {obj} and went to {b}. \"Hello!\" {a.he} said.")
    s.say("\"Do you want to play?\" asked {a}.", "\"We can play with my {t},\" said {a}.")
    s.say("At first, {b} said nothing. Then {b.he} smiled.",
          "\"With me?\" asked {b}. \"Yes, with you,\" said {a}.")
    s.say("They played with the {t} near {q} until it was dark.",
          "They took the {t} to {q}, and {b} laughed for the first time.")
    s.say("\"You are my first friend here,\" said {b}.")
    happy(s, "b")
    closing(s, "{a} learned that one kind word can make a friend.", *FRIENDS_END)


def moon(s):
    intro(s)
    family(s)
    s.paragraph()
    s.say("Every night, {a} looked at the moon. \"I want to touch it,\" {a.he} said.",
          "One night, the moon was so bright that {a} wanted to touch it.")
    s.say("{a} stood on the table, but the moon was too high.",
          "{a} went to {p} and jumped, but the moon was too high.")
    friend_comes(s)
    s.say("\"Can you help me touch the moon?\" asked {a}.",
          "\"What are you doing?\" asked {b}. \"I want to touch the moon,\" said {a}.")
    s.say("They climbed up a tall tree, but the moon was still too far.",
          "{b} had a long ladder, but the moon was still too far.")
    sad(s)
    s.paragraph()
    s.say("They went to {h} for help. {h} smiled. \"Come with me,\" {h.he} said.")
    s.say("{h} put a big bowl of water on the ground. There, in the water, was the moon!")
    s.say("{a} put {a.his} hand into the water and touched the moon.",
          "Very slowly, {a} touched the water, and the moon danced.")
    s.say("\"I did it!\" cried {a}.", "\"It is cold and wet,\" said {a}, and they all laughed.")
    happy(s)
    closing(s, "{a} learned that there is always another way.",
            "And high in the sky, the moon smiled too.", *FRIENDS_END)


def messy_room(s):
    intro(s)
    family(s)
    s.say("But {a} did not like to clean. {a.his} things were all over the room.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {h} said, \"Please clean your room.\" \"Not now,\" said {a}.",
          "{day}, {h} looked into the room. \"You must clean it,\" said {h}.")
    friend_comes(s)
    s.say("\"Let us go to {p}!\" said {b}. \"Take your {obj}!\"")
    s.say("{a} looked for the {t}. It was not under the bed. It was not behind the door.",
          "{a} looked and looked, but {a.he} could not find the {obj}.")
    sad(s)
    s.paragraph()
    s.say("\"I will help you,\" said {b}. \"We can clean it together.\"")
    s.say("They sang a song, and with every word they put one thing away.",
          "{a} took the big things, and {b} took the small things.")
    s.say("And there, under it all, was the {obj}!", "\"Look!\" said {b}. It was the {obj}!")
    s.say("\"Well done,\" said {h}. \"Now you can go and play.\"")
    s.say("{a} and {b} took the {t} and ran to {p}.")
    closing(s, "From then on, {a} put {a.his} things away every day.",
            "{a} learned that it is easy to find things in a clean room.", *FRIENDS_END)


def treasure_map(s):
    intro(s)
    meet_friend(s)
    s.v["gold"] = s.rng.choice(["books", "gold", "stones"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} found an old map in a book.",
          "{day}, the wind blew an old map to {a}.")
    s.say("\"It shows a treasure!\" said {b}. \"Let us find it!\"")
    s.say("First the map led them to {p}.", "\"We must start near {p},\" said {a}.")
    s.say("Then they went to {q}.", "Then they climbed over a wall and came to {q}.")
    s.maybe(0.5, "\"I am tired,\" said {b}. \"Only a little more,\" said {a}.")
    s.paragraph()
    s.say("At last, they came to {r}. \"It is here,\" said {a}.")
    s.say("There, under a stone, was a {color} box.", "Under the grass, they found a {color} box.")
    s.say("Slowly, {b} opened the box. It was full of {gold}!")
    s.say("\"I hid this box when I was as small as you,\" said {h}.",
          "They shared the {gold} with all their friends.")
    s.say("\"The best part was the way,\" said {b}.", "\"What a treasure!\" cried {a}.")
    happy(s)
    closing(s, "{a} learned that a friend is the best treasure.", *FRIENDS_END)


PLOTS = [lost_thing, stuck_thing, lost_baby, afraid, baking, sharing, broken_thing, picnic,
         garden, race, gift, sick_friend, lost_way, learning, night_noise, snow_day, found_thing,
         hurt_bird, new_friend, moon, messy_room, treasure_map]


def story(rng):
    """One story of 60 to 250 words."""
    while True:
        s = Story(rng)
        rng.choice(PLOTS)(s)
        text = str(s)
        if 60 <= len(text.split()) <= 250:
            return text


def stories(seed, count):
    rng = random.Random(seed)
    return [story(rng) for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=10)
    args = parser.parse_args()
    print(("\n%s\n" % SEPARATOR).join(stories(args.seed, args.count)))
    print(SEPARATOR)


if __name__ == "__main__":
    main()
