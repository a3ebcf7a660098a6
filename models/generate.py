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

GIRLS = "Lily Anna Mia Rosa Emma Nora Ella Sue".split()
BOYS = "Tom Ben Sam Max Leo Jack Tim Finn".split()
SHE_ANIMALS = "Hazel Dot Coco Penny Poppy Ruby Daisy Bella".split()
HE_ANIMALS = "Bruno Pip Rusty Oscar Toby Milo Gus Otto".split()
ANIMALS = "bear rabbit fox mouse duck frog squirrel hedgehog badger beaver goat".split()

COLORS = "red blue green yellow white purple orange pink".split()
TREASURES = ("ball hat scarf boat drum bell cup basket blanket whistle book flute "
             "lantern ribbon box kite").split()
SHINY = "key bell ring button spoon coin".split()

# (where, home, places, do animals live there)
WORLDS = [
    ("in a small town", "a [little|tall|narrow] house [near the park|on a quiet street]",
     "the park|the market|the library|the school yard|the bridge|the fountain", False),
    ("near a little village", "a [small|big|busy] house [with a red barn|behind a green hill]",
     "the barn|the corn field|the old well|the apple tree|the pond|the hen house", False),
    ("by the sea", "a [white|small|blue] house [near the beach|with a view of the waves]",
     "the beach|the harbor|the lighthouse|the big rocks|the old boat|the fish market", False),
    ("in the mountains", "a [warm|small|wooden] house [on a hill|with a stone roof]",
     "the meadow|the stream|the pine trees|the mill|the waterfall|the stone bridge", False),
    ("in a deep forest", "a [cozy|small|hidden] home [under a tall tree|between the roots]",
     "the old oak|the stream|the berry bushes|the big rock|the clearing|the hollow log", True),
    ("in a green valley", "a [cozy|tidy|round] home [near the meadow|with a round door]",
     "the pond|the tall grass|the stone wall|the apple tree|the hill|the little bridge", True),
    ("at the edge of a quiet wood", "a [snug|warm|little] home [by the river|with a green roof]",
     "the river|the mossy stones|the willow tree|the dark cave|the nut trees|the meadow", True),
]

TRAITS = ["kind", "curious", "brave", "shy", "cheerful", "clever", "gentle", "quiet", "playful"]
HOBBIES = ["sing [loud|happy|silly] songs", "paint [big|bright] pictures", "climb trees",
           "look at the stars", "collect [smooth|pretty|round] stones", "read [long|old] books",
           "dance in the rain", "tell [funny|long] stories", "watch the clouds", "pick flowers",
           "jump over puddles", "play hide and seek", "listen to the birds", "run in the grass"]

PEOPLE_ELDERS = [("the baker", "he"), ("the old farmer", "he"), ("the mail carrier", "she"),
                 ("the teacher", "she"), ("Grandma", "she"), ("Grandpa", "he")]
ANIMAL_ELDERS = [("the old owl", "she"), ("the wise turtle", "he"), ("the gray goose", "she"),
                 ("the tall deer", "he"), ("Grandma", "she"), ("Grandpa", "he")]

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
        where, home, places, wild = rng.choice(WORLDS)
        she = rng.random() < 0.5
        if wild:
            kinds = rng.sample(ANIMALS, 2)
            names = [SHE_ANIMALS, HE_ANIMALS] if she else [HE_ANIMALS, SHE_ANIMALS]
        else:
            kinds = ["girl", "boy"] if she else ["boy", "girl"]
            names = [GIRLS, BOYS] if she else [BOYS, GIRLS]
        he = ["she", "he"] if she else ["he", "she"]
        a, b = (Who(self, rng.choice(names[i]), kinds[i], he[i]) for i in (0, 1))
        elders = ANIMAL_ELDERS if wild else PEOPLE_ELDERS
        elder = rng.choice(elders + [(a.his + " mother", "she"), (a.his + " father", "he")])
        h = Who(self, elder[0], "elder", elder[1])
        self.places = places.split("|")
        p, q, r = rng.sample(self.places, 3)
        color, thing = rng.choice(COLORS), rng.choice(TREASURES)
        self.wild, self.color = wild, color
        self.v = {"a": a, "b": b, "h": h, "p": p, "q": q, "r": r, "t": thing,
                  "obj": color + " " + thing, "color": color, "where": where, "home": home}

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
    size = s.rng.choice(["little", "young", "small"])
    s.v["who"] = s.pick("%s %s" % (size, a.kind))
    s.say("Once upon a time, there was a {who} named {a}.",
          "Once upon a time, a {who} named {a} lived {where}.",
          "Once there was a {who} named {a}.",
          "Long ago, there lived a {who} named {a}.",
          "{a} was a {who} who lived {where}.",
          "There once was a {trait} {a.kind} named {a}.",
          "{where}, there lived a {trait} {a.kind} named {a}.",
          "One day, a {who} named {a} woke up [very early|with a smile|and looked outside].")
    s.focus = a
    s.maybe(0.5, "{a.he} lived in {home}.",
            "{a.he} lived in {home} with {a.his} [mother|father|family].",
            "{a.his} family had {home}.")
    known = s.v["trait"] in s.text[-1][0]
    s.maybe(0.6, "{a:s} [loved|liked] to {hobby}.",
            "{a:s} [loved|liked] to {hobby}." if known else
            "{a:s} was {trait} and [loved|liked] to {hobby}.",
            "Every day, {a.he} liked to {hobby}.",
            "What {a.he} liked best was to {hobby}.")


def family(s):
    """Make the elder one of the hero's family."""
    a = s.v["a"]
    name, he = s.rng.choice([(a.his + " mother", "she"), (a.his + " father", "he"),
                             ("Grandma", "she"), ("Grandpa", "he")])
    s.v["h"] = Who(s, name, "elder", he)


def no_bridge(s):
    """Draw places again until none of them is a bridge."""
    while any("bridge" in s.v[x] for x in "pqr"):
        s.v["p"], s.v["q"], s.v["r"] = s.rng.sample(s.places, 3)


def meet_friend(s):
    """Name the friend for the first time."""
    s.v["bkind"] = s.v["b"].kind
    s.say("{a.his} best friend was a {bkind} named {b}.",
          "{a} had a good friend, a {bkind} named {b}.",
          "{a.he} had a friend named {b}, who was a [little|cheerful|kind|funny] {bkind}.",
          "{a} and a {bkind} named {b} were the best of friends.")


def friend_comes(s):
    """The friend walks in; first time the name is used."""
    s.v["bkind"] = s.v["b"].kind
    s.say("Just then, a {bkind} named {b} came [by|along|down the path].",
          "Soon, a [little|friendly|kind] {bkind} named {b} came along.",
          "A {bkind} named {b} heard {a.him} and came to look.",
          "Then a [friendly|kind|cheerful] {bkind} named {b} stopped next to {a.him}.")
    s.focus = s.v["b"]


def one_day(s):
    s.v["day"] = s.pick("One [sunny|warm|cold|bright|windy|quiet|gray] "
                        "[morning|afternoon|day]")


def ask_trouble(s):
    s.say("\"What is wrong, {a}?\" asked {b}.", "\"Why are you so sad?\" asked {b}.",
          "{b} asked, \"What is the matter?\"", "\"Can I help you?\" asked {b}.",
          "\"You look [sad|worried],\" said {b}. \"What happened?\"")


def thanks(s):
    s.say("\"Thank you, {b}!\" said {a}. \"You are a [good|true|great] friend.\"",
          "{a} gave {b} a big hug and said, \"Thank you!\"",
          "\"Thank you so much,\" said {a}. {b} [smiled|laughed] and said, \"That is what "
          "friends are for.\"",
          "{a} thanked {b} [again and again|with all {a.his} heart].",
          "\"I could not do it without you,\" {a} said to {b}.")


def happy(s, who="a"):
    s.v["x"] = s.v[who]
    s.say("{x} was so happy that {x.he} [danced|jumped up and down|clapped|sang].",
          "{x} [smiled a big smile|laughed with joy].", "{x} felt [warm|happy|proud] inside.",
          "{x}'s eyes were bright with joy.", "{x} had never been so happy.")


def sad(s, who="a"):
    s.v["x"] = s.v[who]
    s.say("{x} felt very sad.", "{x} began to cry.", "{x} sat down and [cried|sighed].",
          "A tear ran down {x.his} cheek.", "{x} did not know what to do.",
          "{x} felt a lump in {x.his} throat.")


def closing(s, *lessons):
    """End the story: a lesson of the plot or a quiet evening."""
    s.paragraph()
    kind = s.rng.random()
    if kind < 0.45:
        s.say(*lessons)
    elif kind < 0.7:
        s.say("That [night|evening], {a} [went to bed|fell asleep] with a smile.",
              "That night, {a} told {a.his} [mother|father] all about it.",
              "When the sun went down, {a} went home, [tired|sleepy] but happy.",
              "That night, the stars were bright, and {a} slept very well.",
              "In the evening, {a} looked at the moon and thought about the [good|long] day.")
        s.maybe(0.4, *lessons)
    else:
        s.say(*lessons)
        s.maybe(0.7, "And they were all [very|] happy.", "It was [a|the best] day to remember.",
                "{a} never forgot that day.", "And that was the end of a [good|long|lovely] day.",
                "Everyone [smiled|was glad].")
    s.maybe(0.15, "The end.")


FRIENDS_END = ("From that day on, {a} and {b} were the best of friends.",
               "{a} and {b} played together every day after that.",
               "{a} and {b} stayed friends for a long, long time.",
               "After that day, {a} and {b} did everything together.")


# ---- plots ----

def lost_thing(s):
    intro(s)
    s.say("{a.his} favorite thing was a {obj}.",
          "{a.he} had a {obj} that {a.he} took everywhere.",
          "For {a.his} birthday, {a.he} got a {obj}, and {a.he} loved it very much.",
          "{a.he} had a {obj}. It was a gift from {h}.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} looked for the {t}, but it was gone.",
          "{day}, {a} could not find the {obj}.",
          "{day}, {a} came home and saw that the {obj} was not there.",
          "{day}, the {obj} was gone.")
    s.say("{a} looked under the bed and behind the door, but it was not there.",
          "{a} looked near {p}. It was not there. {a.he} looked near {q}. It was not there.",
          "{a} ran to {p} and looked all around, but there was no {t}.",
          "First {a.he} looked in every corner of the house. Then {a.he} looked by {p}.")
    sad(s)
    s.paragraph()
    friend_comes(s)
    ask_trouble(s)
    s.say("\"I lost my {obj},\" said {a}.", "\"I cannot find my {obj},\" {a} said.",
          "\"My {obj} is gone,\" said {a}. \"I looked everywhere.\"")
    s.say("\"I saw something {color} near {r},\" said {b}. \"[Come with me|Let us go and see].\"",
          "\"Do not cry,\" said {b}. \"I will help you look. Were you at {r} yesterday?\"",
          "{b} thought for a moment. \"Did you look by {r}?\" {b.he} asked.",
          "\"Two can look better than one,\" said {b}. \"Let us try {r}.\"")
    s.say("They [ran|walked|hurried] to {r} together.",
          "Together they went to {r}.", "So they went to {r}, hand in hand.")
    s.say("There, [under a leaf|in the grass|behind a stone|under a bush], was the {obj}!",
          "And there was the {obj}! The wind had carried it away.",
          "{b} pointed at something {color}. It was the {t}!",
          "A [black bird|crow] sat there with the {obj}. When it saw them, it dropped the {t} "
          "and flew away.",
          "They looked and looked. At last, {a} saw the {obj}.")
    happy(s)
    thanks(s)
    closing(s, "After that, {a} always put the {t} back in its place.",
            "{a} never lost the {obj} again.",
            "From then on, {a} took good care of the {t}, and {b} came to play every day.",
            "{a} learned that it is good to ask a friend for help.", *FRIENDS_END)


def stuck_thing(s):
    intro(s)
    meet_friend(s)
    s.v["t"] = s.rng.choice(["ball", "kite", "hat", "balloon", "scarf"])
    s.v["obj"] = s.color + " " + s.v["t"]
    s.v["tree"] = s.rng.choice(["tree", "roof", "wall"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} and {b} played with a {obj} near {p}.",
          "{day}, {a} took a {obj} to {p}, and {b} came too.",
          "{day}, the two friends went to {p}. {a} had a new {obj}.")
    s.say("The wind was strong. It took the {t} high up and put it on a tall {tree}.",
          "Suddenly, the wind blew the {t} up, up, up, and it got stuck on a high {tree}.",
          "\"Oh no!\" cried {a}. The {t} flew up and landed on top of a {tree}.",
          "They had so much fun, but then the {t} got stuck on a [high|tall] {tree}.")
    s.say("{a} jumped as high as {a.he} could, but {a.he} was too small.",
          "{a} tried to reach it, but it was too high.",
          "{b} jumped, and {a} jumped, but they could not reach it.")
    s.say("{b} threw a stick at it, but the {t} did not move.",
          "{b} tried to climb up, but it was too hard.",
          "\"I cannot reach it,\" said {b}.")
    s.maybe(0.6, "{a} wanted to cry.", "\"It is gone forever,\" said {a}.",
            "They sat down and thought.", "{a} was sad, but {a.he} did not give up.")
    s.paragraph()
    way = s.rng.randrange(3)
    if way == 0:
        s.say("\"I know!\" said {b}. \"Stand on my back.\"",
              "Then {b} had an idea. \"Climb on my shoulders,\" {b.he} said.")
        s.say("{a} climbed up and stretched out {a.his} arm. {a.he} could just touch the {t}.",
              "{a} stood on {b}'s shoulders and reached up, higher and higher.")
        s.say("[Down came the {t}|With one more push, the {t} fell down]!",
              "\"I got it!\" {a} shouted.")
        thanks(s)
    elif way == 1:
        s.say("Then {h} came by with a long ladder.",
              "\"Let us ask {h},\" said {b}. They ran and told {h} all about it.")
        s.say("{h} put the ladder by the {tree}, climbed up, and got the {t}.",
              "{h} smiled, put up a ladder, and soon came back with the {obj}.")
        s.say("\"Thank you!\" said {a} and {b}.",
              "\"Here is your {t},\" said {h}. \"Hold it well when the wind blows.\"")
    else:
        s.say("A little bird saw them. \"I can help you,\" said the bird.",
              "Just then, a small bird landed near them. \"Why are you sad?\" asked the bird.")
        s.say("The bird flew up, took the {t} in its beak, and brought it down.",
              "It flew to the top of the {tree} and pushed the {t} until it fell.")
        s.say("{a} gave the bird some [bread|seeds|berries] to say thank you.",
              "\"Thank you, little bird!\" said {a} and {b}.")
    happy(s)
    closing(s, "After that, {a} held the {t} with both hands when it was windy.",
            "They played with the {obj} until the sun went down.",
            "{a} learned that together you can reach higher than alone.", *FRIENDS_END)


def lost_baby(s):
    intro(s)
    s.v["baby"] = s.rng.choice(["kitten", "puppy", "duckling", "chick", "lamb", "bird"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} walked to {p} and heard a [small|strange|soft] sound.",
          "{day}, on the way to {p}, {a} heard someone cry.",
          "{day}, {a} was near {p} when {a.he} heard a tiny voice.")
    s.say("It was a [little|tiny] {baby}, all alone.",
          "Behind a [bush|stone|tree], there was a tiny {baby}.",
          "A little {baby} sat in the grass and [cried|shook].")
    s.say("\"Hello, little one,\" said {a}. \"Are you lost?\"",
          "\"Do not be afraid,\" {a} said in a soft voice.",
          "\"Oh, you poor little {baby}!\" said {a}.")
    s.say("\"I cannot find my mother,\" said the {baby}.",
          "\"I want my mother,\" the {baby} cried.",
          "The {baby} said, \"I ran too far, and now I am lost.\"")
    s.say("\"I will help you find her,\" said {a}.",
          "\"Come with me,\" said {a}. \"We will find your mother.\"")
    s.say("{a} [gave the {baby} some water|wrapped the {baby} in {a.his} scarf] and carried it "
          "[in {a.his} arms|very gently].",
          "The {baby} was [cold|tired], so {a} carried it.")
    s.paragraph()
    s.say("First they went to {q}, but no one was there.",
          "They looked near {q}, but the mother was not there.",
          "They walked to {q} and called, but no one answered.")
    way = s.rng.randrange(2)
    if way == 0:
        s.say("Then they met {h}. \"Have you seen the mother of this {baby}?\" asked {a}.",
              "On the path they met {h}, and {a} asked for help.")
        s.say("\"Yes,\" said {h}. \"She is near {r}. She is looking for her baby.\"",
              "\"I saw her by {r},\" said {h}. \"Hurry, she is very worried.\"")
    else:
        s.say("Then the {baby} lifted its head. \"I hear something!\" it said. It came from {r}.",
              "{a} stopped and listened. There was a call from {r}.")
    s.say("They ran to {r}, and there was the mother!",
          "At {r}, the mother saw them and ran to her baby.",
          "When they came to {r}, the {baby} jumped down and ran to its mother.")
    s.say("\"My baby!\" she cried. \"I looked for you everywhere.\"",
          "The mother kissed her baby [again and again|on the head].")
    s.say("\"Thank you for your help,\" she said to {a}.",
          "She thanked {a} and gave {a.him} a [shiny stone|white feather|sweet apple].")
    happy(s)
    closing(s, "Every day, the {baby} came to {p} to play with {a}.",
            "{a} and the little {baby} became good friends.",
            "{a} learned that even a small person can do a big, kind thing.",
            "And the {baby} never ran too far again.")


def afraid(s):
    intro(s)
    family(s)
    s.v["fear"], s.v["fix"] = s.rng.choice([
        ("the dark", "a small lamp"), ("the thunder", "a warm blanket"),
        ("deep water", "a long rope"), ("high places", "a strong rope"),
        ("the big dog next door", "a piece of bread")])
    fear = s.v["fear"]
    if s.wild and "dog" in fear:
        s.v["fear"] = fear = "the dark"
        s.v["fix"] = "a small lamp"
    s.say("But {a} was afraid of {fear}.", "There was only one thing {a.he} did not like. "
          "{a.he} was afraid of {fear}.", "But there was one problem. {a} was afraid of {fear}.")
    s.paragraph()
    if fear == "the dark":
        s.say("Every night, {a} hid under the blanket and could not sleep.",
              "When the sun went down, {a} thought that every shadow was a monster.")
        s.v["test"] = "go outside at night"
        s.v["see"] = s.pick("the stars were like little lights, and it was [lovely|beautiful]")
    elif fear == "the thunder":
        s.say("When dark clouds came, {a} hid under the bed.",
              "One night, there was a loud boom, and {a} began to shake.")
        s.v["test"] = "stand at the window in the storm"
        s.v["see"] = s.pick("the thunder was only [a loud drum in the sky|noise]")
    elif fear == "deep water":
        s.say("When the others went to swim, {a} stayed on the grass.",
              "All the others jumped into the water, but {a} only watched.")
        s.v["test"] = "step into the water"
        s.v["see"] = s.pick("the water was [cool and soft|clear and warm]")
    elif fear == "high places":
        s.say("When the others climbed the hill, {a} stayed at the bottom.",
              "{a} never climbed up with the others. {a.he} only looked at the ground.")
        s.v["test"] = "climb to the top of the hill"
        s.v["see"] = s.pick("the whole world lay below, [green and wide|small and pretty]")
    else:
        s.say("When the dog barked, {a} ran away as fast as {a.he} could.",
              "Every day, {a} took the long way home so that {a.he} did not meet the dog.")
        s.v["test"] = "say hello to the dog"
        s.v["see"] = s.pick("the dog only wanted [to play|a friend]")
    s.say("One day, {a} told {h} about it.", "{h} saw that {a} was afraid.",
          "{a} went to {h} and said, \"I am afraid of {fear}.\"")
    s.say("\"Everyone is afraid of something,\" said {h}. \"[I was afraid too|It is all right].\"",
          "\"To be brave is to be afraid and still try,\" said {h}.",
          "\"We can try it together,\" said {h}. \"[One small step is enough|Just a little bit].\"")
    s.say("{h} gave {a.him} {fix} and [took {a.his} hand|stayed close].",
          "{h} held {a.his} hand and brought {fix}.")
    s.paragraph()
    s.say("{a}'s heart beat fast, but {a.he} wanted to {test}.",
          "{a} took a deep breath. It was time to {test}.",
          "Slowly, very slowly, {a} began to {test}.")
    s.maybe(0.5, "{a.his} knees shook a little.", "\"I can do it,\" {a} said to {a.him}self.",
            "\"I can do it,\" {a} whispered.",
            "One, two, three!")
    s.say("And then {a.he} saw that {see}.", "What a surprise! {see}.",
          "It was not so bad. {a} saw that {see}.")
    s.say("\"I did it!\" {a} [cried|shouted|said].", "\"Look at me!\" called {a}.",
          "\"I am not afraid anymore!\" said {a}.")
    s.say("\"I am proud of you,\" said {h}.", "{h} smiled. \"I knew you could do it.\"",
          "{h} gave {a} a big hug.")
    closing(s, "From that day on, {a} was not afraid of {fear}.",
            "{a} learned that brave means to try, even when you are afraid.",
            "And when another little one was afraid of {fear}, {a} knew how to help.")


def baking(s):
    intro(s)
    s.v["dish"] = s.rng.choice(["cake", "pie", "soup", "bread"])
    s.v["miss"] = s.rng.choice({"cake": ["eggs", "sugar", "honey"],
                                "pie": ["apples", "berries", "butter"],
                                "soup": ["carrots", "salt", "beans"],
                                "bread": ["flour", "salt", "milk"]}[s.v["dish"]])
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} wanted to make a big {dish} for {h}."
          if s.v["dish"] not in ("soup", "bread") else
          "{day}, {a} wanted to make some {dish} for {h}.",
          "{day}, {a} said, \"Today, I will make {dish} for everyone.\"")
    s.say("{a} put a big bowl on the table and looked for all the things {a.he} needed.",
          "{a.he} washed {a.his} hands and took out a big [pot|bowl].",
          "{a} opened the kitchen door and began to work.")
    s.say("But there was one problem. There was no {miss}."
          if s.v["miss"][-1] != "s" else
          "But there was one problem. There were no {miss}.",
          "\"Oh no,\" said {a}. \"We have no {miss}!\"")
    sad(s)
    s.say("\"You cannot make {dish} without {miss},\" said {a}.",
          "\"What can I do now?\" {a.he} asked.", "How could {a.he} make {dish} now?")
    s.paragraph()
    s.say("{a} went to {b} and asked, \"Do you have some {miss}?\"",
          "{a} ran to {b}'s house and knocked on the door. \"Do you have some {miss}?\"",
          "{a} went to {b} and told {b.him} about the {dish}. \"Do you have {miss}?\"")
    s.say("\"I have some {miss},\" said {b}. \"May I help you?\"",
          "\"Yes,\" said {b}. \"[You can have all of it|I will bring it]. Can we do it "
          "together?\"" if s.v["miss"][-1] != "s" else
          "\"Yes,\" said {b}. \"[You can have all of them|I will bring them]. Can we do it "
          "together?\"",
          "\"I know where to find {miss},\" said {b}. \"Come with me to {p}.\" Soon they had "
          "enough.")
    s.say("They went to the kitchen and [mixed|stirred] everything [with a big spoon|in a bowl].",
          "{a} stirred, and {b} added the {miss}.",
          "They worked side by side. There was flour on {b}'s nose, and they laughed a lot.")
    s.say("Soon the whole house smelled [sweet|wonderful|so good].",
          "They waited and waited. At last, the {dish} was ready.")
    s.say("{h} [tasted|tried] the {dish} and said, \"This is the best {dish} I ever had!\"",
          "They gave the first piece to {h}. \"Yum!\" said {h}."
          if s.v["dish"] != "soup" else "They gave the first bowl to {h}. \"Yum!\" said {h}.",
          "Then they sat at the table with {h} and ate it all.")
    s.maybe(0.6, "\"{b} helped me,\" said {a}.", "{a} and {b} were very proud.",
            "\"We made it together,\" said {a} and {b}.")
    closing(s, "{a} learned that work is more fun with a friend.",
            "From then on, {a} and {b} made {dish} together every week.",
            "Food tastes best when you share it.", *FRIENDS_END)


def sharing(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, they found a {obj} near {p}.",
          "{day}, {h} gave them a {obj}.",
          "{day}, they saw a {obj} in the grass by {p}.")
    s.say("\"It is mine!\" said {a}. \"No, it is mine!\" said {b}.",
          "\"I saw it first,\" said {a}. \"No, I saw it first!\" said {b}.",
          "Both of them wanted it. {a} pulled, and {b} pulled too.",
          "\"Give it to me!\" cried {a}. \"No!\" cried {b}.")
    s.say("They were so angry that they did not [talk|speak] anymore.",
          "{b} went home and closed the door. {a} went home too.",
          "They shouted until {b} began to cry.",
          "The {t} fell on the ground, and no one was happy.")
    s.paragraph()
    s.say("{a} sat alone with the {t}. It was no fun at all.",
          "Soon {a} felt bad. {a.he} missed {b}.",
          "{a} thought about {b}. It was very quiet without {b.him}.")
    s.say("{h} came and asked, \"Why are you not playing with {b}?\"",
          "\"Where is {b} today?\" asked {h}.",
          "{h} saw it and sat down next to {a}.")
    s.say("\"We both want the {obj},\" said {a}.",
          "{a} told {h} about the {obj}.",
          "\"We had a fight about the {t},\" said {a}.")
    s.say("\"A {t} is nice,\" said {h}, \"but a friend is better.\"",
          "\"You can take turns,\" said {h}. \"First you, then {b}.\"",
          "\"What is more important,\" asked {h}, \"the {t} or your friend?\"")
    s.say("{a} [thought about it|nodded]. Then {a.he} took the {t} and ran to {b}.",
          "{a} knew what to do. {a.he} went to {b} with the {obj}.")
    s.paragraph()
    s.say("\"I am sorry,\" said {a}. \"You can have it first.\"",
          "\"I am sorry, {b},\" said {a}. \"Let us share the {t}.\"",
          "\"Please do not be angry,\" said {a}. \"We can play with it together.\"")
    s.say("\"I am sorry too,\" said {b}.", "{b} smiled and said, \"I am sorry too.\"",
          "{b} dried {b.his} tears and gave {a} a hug.")
    s.say("They took turns with the {t} all day.",
          "They played together near {q}, and it was much more fun.",
          "One day {a} had the {t}, and the next day {b} had it.")
    closing(s, "{a} learned that sharing makes every game better.",
            "They never had a fight about a {t} again.",
            "And the {obj} belonged to both of them.", *FRIENDS_END)


def broken_thing(s):
    intro(s)
    family(s)
    s.v["t"] = s.rng.choice(["cup", "window", "bowl", "lamp", "clock", "chair"])
    s.v["obj"] = s.color + " " + s.v["t"]
    s.say("{h} had a {obj}. It was very old.",
          "In the house, there was a {obj}. {h} liked it very much.",
          "{h} loved an old {obj} very much.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} played with a ball in the house. Crash! The ball hit the {t}, and it broke.",
          "{day}, {a} ran through the room and fell. The {obj} broke.",
          "{day}, {a} jumped and danced in the room. Crash! The {obj} was broken.")
    s.say("{a} looked at the pieces, and {a.his} heart beat fast.",
          "\"Oh no,\" whispered {a}. \"What have I done?\"",
          "There were pieces all over the floor.")
    s.say("{a} hid the pieces under the bed and ran to {p}.",
          "{a} was so afraid that {a.he} ran to {p} and hid there.",
          "{a} put a blanket over the {t} and hoped that no one would see it.")
    s.paragraph()
    friend_comes(s)
    s.say("{a} told {b} what had happened.", "\"I broke the {obj},\" {a} said in a small voice.",
          "\"Can you keep a secret?\" asked {a}. \"I broke the {t}.\"")
    s.say("\"You must tell the truth,\" said {b}. \"I will come with you.\"",
          "\"It was not on purpose,\" said {b}. \"Tell {h}. You will feel better.\"",
          "{b} said, \"A secret like that is heavy. Tell {h} the truth.\"")
    s.say("{a} was afraid, but {a.he} knew that {b} was right.",
          "{a} took a deep breath and nodded.",
          "So they walked back together.")
    s.paragraph()
    s.say("\"I broke your {t},\" {a} said to {h}. \"I am so sorry.\"",
          "{a} went to {h} and told the truth. \"I am very sorry,\" {a.he} said.")
    s.say("{h} was quiet for a moment. Then {h.he} smiled.",
          "{h} looked at the pieces and then at {a}.",
          "{h} was a little sad, but not angry.")
    s.say("\"Thank you for telling me the truth,\" said {h}. \"[We can fix it|Let us fix it "
          "together].\"",
          "\"A {t} is only a {t},\" said {h}. \"I am proud that you told me.\"",
          "\"That was brave,\" said {h}. \"Come, we will [fix|mend] it.\"")
    s.say("They worked all afternoon with [glue|paint and glue]. The {t} was not like new, but it "
          "was [even prettier|good again].",
          "{a} helped to put all the pieces back together.",
          "Soon the {t} stood in its old place again.")
    closing(s, "{a} learned that the truth makes the heart light.",
            "From then on, {a} always told the truth.",
            "After that, {a} played with the ball only outside.",
            "{a} felt light and happy again.")


def picnic(s):
    intro(s)
    meet_friend(s)
    s.v["food"] = s.rng.choice(["bread and honey", "apples and cheese", "cake and milk",
                                "berries and nuts", "soup and bread"])
    s.paragraph()
    one_day(s)
    s.say("One [sunny|warm|bright] morning, {a} and {b} wanted to have a picnic near {p}.",
          "\"Let us have a picnic near {p},\" said {a} one [sunny|warm] morning. \"Yes!\" said "
          "{b}.")
    s.say("They put {food} into a basket.", "{a} packed {food}, and {b} brought a {color} blanket.",
          "{h} gave them a basket with {food}.")
    s.say("They walked and sang and laughed all the way.",
          "On the way, they counted the [birds|flowers|clouds].",
          "When they came to {p}, they put the blanket on the grass.")
    s.paragraph()
    s.say("But then dark clouds came, and it began to rain.",
          "Suddenly, a drop fell on {a}'s nose. Then there was another drop, and soon it rained.",
          "But soon the wind grew cold, and big drops of rain began to fall.")
    s.say("\"Our picnic!\" cried {b}.", "\"Everything will get wet,\" said {a}.",
          "\"Oh no! What do we do now?\" asked {b}.")
    s.say("\"Quick!\" said {a}. \"We can hide near {q}.\"",
          "{a} saw {q} not far away. \"Let us run there,\" {a.he} said.")
    s.say("They took the basket and ran to {q}.", "They ran as fast as they could to {q}.")
    s.say("There it was [dry|dry and warm]. They [sat close together|sat down] and ate {food}.",
          "There they found a dry place and opened the basket.",
          "{b} held the blanket over their heads like a little tent.")
    s.maybe(0.6, "The rain played a song, and they sang with it.",
            "They told stories and listened to the rain.",
            "\"This is even better than a picnic in the sun,\" said {b}.")
    s.say("When the rain stopped, there was a [big|bright] rainbow in the sky.",
          "At last, the sun came back, and they jumped in all the puddles.",
          "Soon the rain was over, and the whole world smelled fresh and green.")
    s.say("\"What a [wonderful|lovely] picnic,\" said {a}.", "\"Look, how beautiful!\" said {b}.",
          "\"I am glad that it rained,\" said {a}.")
    closing(s, "They learned that a little rain cannot stop a good day.",
            "After that, {a} and {b} liked the rain as much as the sun.",
            "They went home with wet feet and happy hearts.", *FRIENDS_END)


def garden(s):
    intro(s)
    s.v["plant"] = s.rng.choice(["flower", "pumpkin", "apple tree", "carrot", "rose", "bush"])
    s.paragraph()
    s.say("In spring, {h} gave {a.him} a little seed. \"Take good care of it,\" said {h}.",
          "One day, {a} found a tiny seed near {p}. \"What will it be?\" {a.he} asked.",
          "One morning, {a} got a small seed from {h}. \"What is it?\" asked {a}. \"You will "
          "see,\" said {h}.")
    s.say("{a} made a hole in the ground, put the seed inside, and gave it water.",
          "{a} put the seed in the soft ground and covered it.",
          "{a} planted it near the house, where the sun was warm.")
    s.say("Every morning, {a} looked at the ground, but nothing happened.",
          "{a:s} waited one day, two days, three days. Nothing came up.",
          "Day after day, {a} brought water and waited.")
    sad(s)
    s.say("\"My seed does not want to grow,\" said {a}.",
          "\"Maybe my seed is asleep,\" said {a}.", "\"It will never grow,\" said {a}.")
    s.say("\"Good things need time,\" said {h}.", "\"Wait a little longer,\" said {h}.",
          "\"You cannot see it yet,\" said {h}, \"but it grows under the ground.\"")
    s.paragraph()
    s.maybe(0.6, "So {a} [sang to the seed|waited] and did not give up.",
            "So {a} gave it water every day, and sometimes {a.he} sang a song.")
    s.say("Then, one morning, there was a tiny green leaf.",
          "At last, after the rain, something green came out of the ground.",
          "One day, {a} saw a little green point in the ground.")
    s.say("\"Look!\" {a} shouted. \"It is growing!\"", "{a} could not believe {a.his} eyes.",
          "{a} ran to {h} and called, \"Come and see!\"")
    s.say("It grew and grew, and in summer it was a {plant}.",
          "The leaf grew bigger every day, until it was a fine {plant}.",
          "Soon it was as tall as {a}. It was a {plant}!")
    s.say("It was the most beautiful {plant} {where}.", "Everyone came to look at the {plant}.",
          "{h} said, \"That is the best {plant} I have ever seen.\"")
    s.say("{a} and {h} made soup with it." if s.v["plant"] in ("pumpkin", "carrot")
          else "{a} sat next to it every day.",
          "{a} [kept some new seeds|saved a little seed] for next spring.",
          "{a} was very proud.")
    closing(s, "{a} learned that good things take time.",
            "And in the next spring, {a} had many seeds to share.",
            "Every spring, {a} planted new seeds with {h}.")


def race(s):
    intro(s)
    meet_friend(s)
    s.v["prize"] = s.rng.choice(["a big cake", "a golden cup", "a {color} ribbon",
                                 "a basket of apples"]).format(color=s.color)
    s.paragraph()
    s.say("One day, there was a big race from {p} to {q}. The prize was {prize}.",
          "Every year, there was a race from {p} to {q}. The winner got {prize}.",
          "\"There will be a race tomorrow,\" said {h}. \"It goes from {p} to {q}, and the prize "
          "is {prize}.\"")
    s.say("\"I want to win,\" said {a}.", "{a} wanted to win so much that {a.he} could not sleep.",
          "\"I will run as fast as the wind,\" said {a}.")
    s.say("\"One, two, three, go!\" called {h}, and they all began to run.",
          "{h} waved a {color} flag, and the race began.")
    s.say("{a} ran very fast. Soon {a.he} was in front.",
          "{a} and {b} were faster than all the others.",
          "At first {b} was in front, but then {a} came closer and closer.")
    s.paragraph()
    s.say("But near {r}, {b} fell over a [stone|root] and hurt {b.his} foot.",
          "Suddenly, {a} heard a cry. {b} lay on the ground near {r}.",
          "Then {b} slipped on the wet grass near {r} and fell down.")
    s.say("{a} looked at the finish. It was so close! Then {a.he} looked back at {b}.",
          "{a} could win now. But {a.his} friend needed help.",
          "{a} stopped. The others ran past {a.him}.")
    s.say("\"Run!\" said {b}. \"You can win!\"", "\"Do not wait for me,\" said {b}.",
          "\"My foot hurts,\" cried {b}.")
    s.say("\"You are more important than a race,\" said {a}.",
          "\"I will not leave you here,\" said {a}.",
          "\"We go together or not at all,\" said {a}.")
    s.say("{a} helped {b} up, and they walked to {q} side by side.",
          "{a} took {b}'s arm, and step by step they came to the finish.")
    s.say("They were the last, but everyone clapped and cheered.",
          "They came in last, but everyone called their names.")
    s.say("\"You did not win the race,\" said {h}, \"but you have a big heart.\"",
          "{h} gave them {prize}. \"This is for a good friend,\" said {h}.",
          "The winner shared {prize} with both of them."
          if "ribbon" not in s.v["prize"] and "cup" not in s.v["prize"] else
          "The winner gave the prize to {a}. \"It is yours,\" everyone said.")
    happy(s)
    closing(s, "{a} learned that a friend is better than any prize.",
            "To help a friend is better than to win.", *FRIENDS_END)


def gift(s):
    intro(s)
    meet_friend(s)
    made = s.rng.choice(["picture", "song", "necklace", "boat", "crown", "card"])
    s.v["made"] = made
    s.v["stuff"] = {"picture": "paper and paint", "song": "a drum and an old flute",
                    "necklace": "shells and string", "boat": "wood and a leaf",
                    "crown": "flowers and grass", "card": "paper and a ribbon"}[made]
    s.paragraph()
    s.say("Tomorrow was {b}'s birthday, and {a} wanted to give {b.him} a present.",
          "It was almost {b}'s birthday. {a} needed a gift.",
          "\"Tomorrow I will be one year older,\" said {b}. {a} began to think about a present.")
    s.say("{a} went to {p}, but everything there [cost too much|was too big].",
          "But {a} had no money. {a.he} had only [two buttons|one old coin] in {a.his} pocket.",
          "{a} looked everywhere, but {a.he} could not find the right thing.")
    sad(s)
    s.say("\"What is a good present?\" {a} asked {h}.",
          "{a} went to {h} and asked what to do.",
          "{h} saw {a}'s sad face and asked, \"What is the matter?\" {a} told {h.him} everything.")
    s.say("\"The best present comes from the heart,\" said {h}.",
          "\"You can make something,\" said {h}. \"[That is worth more than gold|You have good "
          "hands].\"",
          "\"Give {b} something that only you can give,\" said {h}.")
    s.paragraph()
    s.say("Then {a} had an idea. {a.he} found {stuff} and made a {made}.",
          "So {a} took {stuff} and worked all evening to make a {made}.",
          "{a} thought for a long time. Then {a.he} took {stuff} and began to make a {made}.")
    s.maybe(0.6, "It was hard, but {a} did not stop until it was done.",
            "When the moon came up, the {made} was ready.",
            "It was not perfect, but it was made with love.")
    s.say("The next day, {b} opened {b.his} presents. {a} was nervous.",
          "At the party, there were many presents. {a} came last.",
          "In the morning, {a} ran to {b}'s house and knocked on the door.")
    s.say("\"This is for you,\" said {a}. \"I made a {made} for you.\"",
          "\"Happy birthday!\" said {a}, and gave {b.him} the {made}.")
    s.say("\"It is the [best|most beautiful] present of all!\" said {b}.",
          "{b} was quiet. Then {b.he} smiled and said, \"I love it!\"",
          "\"You made this for me?\" asked {b}. {b.his} eyes were shining.")
    happy(s)
    closing(s, "{b} kept the {made} for [many years|a long time]." if made != "song" else
            "{b} sang the song for many years.",
            "{a} learned that the best gifts come from the heart.",
            "They ate cake and danced until it was dark.", *FRIENDS_END)


def sick_friend(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} went to {p} to play, but {b} was not there.",
          "{day}, {a} waited for {b} at {p}, but no one came.",
          "{day}, {b} did not come out to play.")
    s.say("\"{b} is sick,\" said {h}. \"[Someone must cheer {b} up|{b} must stay in bed].\"",
          "\"{b} has a cold and must stay in bed,\" said {h}.",
          "{a} went to {b}'s house and looked in the window. {b} was in bed and looked very pale.")
    s.say("{a} wanted to help. {a.he} [made hot soup|picked flowers|took a book] and went to {b}.",
          "\"I will visit {b},\" said {a}. {a.he} took a {obj} and some soup.",
          "{a} thought of something nice. {a.he} put tea and honey in a basket.")
    s.paragraph()
    s.say("{b} was very [tired|weak]. \"It is so boring in bed,\" said {b}.",
          "\"I feel so bad,\" said {b}. \"My head is hot, and I am all alone.\"",
          "\"Hello,\" {b} said in a weak voice. \"I am glad that you came.\"")
    s.say("{a} sat down by the bed and told a [funny|long] story about a [cow|king|cat] who could "
          "[fly|dance|sing].",
          "{a} opened a book and read about a [brave|little] [ship|king|bird].",
          "{a} sang {b.his} favorite song and made a funny face.")
    s.say("{b} laughed for the first time that day.", "Soon {b} smiled again.",
          "{b} began to feel a little better.")
    s.say("Every day, {a} came back with a new story.",
          "{a} stayed until {b} fell asleep.",
          "The next day, {a} came again, and the day after that too.")
    s.say("After [three|four|five] days, {b} was well again.",
          "At last, {b} jumped out of bed. \"I am well!\" {b.he} called.",
          "Soon {b} could go outside again.")
    s.say("They ran to {q} and played all day.", "They went to {p} and danced in the sun.")
    thanks(s)
    closing(s, "{a} learned that a visit can be the best medicine.",
            "When {a} was sick in winter, {b} came every day with soup.", *FRIENDS_END)


def lost_way(s):
    intro(s)
    s.paragraph()
    one_day(s)
    s.v["lure"] = s.rng.choice(["butterfly", "white rabbit", "little bird", "golden leaf"])
    if s.wild and "rabbit" in s.v["lure"]:
        s.v["lure"] = "butterfly"
    s.say("{day}, {a} saw a [pretty |]{lure} near {p} and went after it.",
          "{day}, {a} followed a {lure}, past {p}, farther and farther.",
          "{day}, a {lure} came past {p}. \"Wait for me!\" called {a}, and ran after it.")
    s.say("When {a} looked around, everything was [strange|new]. {a.he} was lost.",
          "Soon {a.he} did not know where {a.he} was.",
          "Then the {lure} was gone, and {a} did not know the way home.")
    s.say("It was getting dark.", "The sun went down behind the trees.", "The wind was cold.",
          "A mist came up from the ground.")
    sad(s)
    s.say("\"Is anybody there?\" {a} called.", "\"I want to go home,\" {a} whispered.",
          "\"Hello?\" called {a}, but there was no answer.")
    s.paragraph()
    friend_comes(s)
    s.say("\"Are you lost?\" asked {b}.", "\"Why are you out here so late?\" asked {b}.",
          "\"Hello,\" said {b}. \"Where do you live?\"")
    s.say("\"I cannot find my home,\" said {a}. \"It is near {q}.\"",
          "\"I live near {q},\" said {a}, \"but I do not know the way.\"")
    s.say("\"I know {q},\" said {b}. \"[It is not far|I go there every week]. Follow me.\"",
          "\"Do not worry,\" said {b}. \"I will show you the way.\"",
          "{b} pointed at the sky. \"Do you see that star? It shows the way to {q}.\"")
    s.say("They walked past {r}. {b} [carried a little lantern|sang a song], and {a} was not "
          "afraid anymore.",
          "Hand in hand, they went past {r} and over the hill.",
          "They talked and talked, and the way was not long at all.")
    s.say("At last, {a} saw {q} and a light in a window.",
          "Soon they came to {q}. \"I can see my house!\" {a} cried.")
    s.say("{a.his} [mother|father] stood at the door and [hugged {a.him}|called {a.his} name].",
          "\"There you are!\" said {a.his} [mother|father]. \"I was so worried.\"")
    s.say("{b} came in too, and they all had [warm soup|hot milk].", "\"This is {b},\" said {a}. "
          "\"{b} showed me the way home.\"", "\"Thank you, {b},\" said {a}.")
    closing(s, "After that, {a} never went too far alone.",
            "{a} learned to look at the path and not only at the {lure}.", *FRIENDS_END)


def learning(s):
    intro(s)
    s.v["skill"], s.v["try"], s.v["fail"] = s.rng.choice([
        ("swim", "jumped into the water", "swallowed a lot of water"),
        ("whistle", "blew and blew", "made no sound at all"),
        ("skate", "stepped on the ice", "fell on the cold ice"),
        ("dance", "turned around and around", "fell over"),
        ("ride a bike", "sat on the bike", "fell into a bush"),
        ("bake bread", "put flour in a bowl", "made only hard black bread"),
        ("juggle", "threw three apples up", "dropped all of them")])
    if s.wild and s.v["skill"] == "ride a bike":
        s.v["skill"], s.v["try"], s.v["fail"] = "row a boat", "sat in a boat", "went in circles"
    meet_friend(s)
    s.paragraph()
    s.say("{b} could {skill} very well, but {a} could not.",
          "{a} wanted to learn to {skill}, just like {b}.",
          "One day, {a} saw {b} near {p}. {b.he} could {skill}! {a} wanted to learn it too.")
    s.say("{a} {try}, but {a.he} {fail}.", "First {a} {try}. But {a.he} {fail}.")
    s.say("{a} tried again and again, but it did not work.",
          "The second time was no better.", "Some others laughed.")
    sad(s)
    s.say("\"I will never learn it,\" said {a}.", "\"It is too hard,\" said {a}.",
          "\"I give up,\" said {a}.")
    s.paragraph()
    s.say("\"I could not do it at first,\" said {b}. \"I needed a whole summer.\"",
          "\"Do not give up,\" said {b}. \"I will show you.\"",
          "{b} sat down next to {a}. \"Try a little every day,\" said {b}.")
    s.say("So every day, they went to {p} and practiced.",
          "They met near {p} each [morning|afternoon] and tried together.",
          "{a} practiced in the morning and in the evening.")
    s.say("Day by day, it got a little better.", "Slowly, {a} got better.",
          "Sometimes {a.he} {fail}, but {a.he} always tried again.")
    s.say("Then one day, it worked! {a} could {skill}!",
          "And then, on a [sunny|warm] day, {a} could {skill} all alone.",
          "At last, the day came. {a} {try}, and this time {a.he} did it!")
    s.say("\"Look at me!\" {a} [cried|shouted].", "\"I can {skill}!\" {a} called.",
          "{b} clapped and cheered.")
    thanks(s)
    closing(s, "{a} learned that you must try many times to learn something new.",
            "Later, {a} showed a [little|small] friend how to {skill}.",
            "And now {a} and {b} could {skill} together every day.")


def night_noise(s):
    intro(s)
    family(s)
    s.v["guest"] = s.rng.choice(["kitten", "hedgehog", "mouse", "bird", "puppy", "frog"])
    if s.v["guest"] in (s.v["a"].kind, s.v["b"].kind):
        s.v["guest"] = "kitten"
    s.v["noise"] = s.rng.choice(["scratch, scratch", "tap, tap, tap", "bump, bump",
                                 "squeak, squeak"])
    s.v["spot"] = s.rng.choice(["under the stairs", "behind the door", "under the table",
                                "under the window", "behind an old box"])
    s.paragraph()
    s.say("One night, {a} lay in bed and heard a noise. It went {noise}.",
          "One dark night, {a} woke up. There was a strange noise: {noise}.",
          "It was late, and everyone was asleep. Then {a} heard it: {noise}.")
    s.say("\"What is that?\" {a} whispered.", "\"Is it a monster?\" {a} asked.",
          "{a} pulled the blanket over {a.his} head.")
    s.say("The noise came again, {noise}. It came from {spot}.",
          "It did not stop. {noise}, it went, somewhere {spot}.")
    s.say("{a} went to {h}. \"There is a monster {spot}!\"" ,
          "{a} ran to {h} and pulled at {h.his} sleeve. \"I heard a noise {spot},\" {a.he} said.")
    s.say("\"Let us look together,\" said {h}, and took a lamp.",
          "\"A monster?\" said {h}. \"Then we must see if it is hungry.\"",
          "{h} took a little lamp and said, \"Come, we will see.\"")
    s.paragraph()
    s.say("They walked very quietly. {a} held {h.his} hand.",
          "Step by step, they came closer. {a}'s heart beat fast.")
    s.say("{h} held up the lamp. There, {spot}, was a tiny {guest}!",
          "And what did they see {spot}? It was only a little {guest}!",
          "Two small eyes looked at them. It was a {guest}!")
    s.say("It was cold and [hungry|wet], and more afraid than {a}.",
          "The poor {guest} was looking for something to eat.",
          "The {guest} had come in from the rain and could not get out.")
    s.say("\"You are not a monster,\" said {a}, and laughed.",
          "\"Hello, little {guest},\" {a} said. \"Are you hungry?\"",
          "{a} was not afraid anymore.")
    s.say("{a} gave it some [milk|bread|water] and a warm place to sleep.",
          "{a} put the {guest} in a basket with a soft blanket.",
          "They gave the {guest} something to eat, and it fell asleep at once.")
    s.maybe(0.6, "\"Can it stay?\" asked {a}. \"[Yes, it can|Of course],\" said {h}.",
            "In the morning, they took the {guest} back to its home near {p}.")
    closing(s, "After that, {a} was not afraid of noises in the night.",
            "{a} learned that a monster can be a friend that you do not know yet.",
            "And the {guest} came to visit {a} every evening.")


def broken_bridge(s):
    no_bridge(s)
    intro(s)
    meet_friend(s)
    s.v["water"] = s.rng.choice(["stream", "river"])
    s.paragraph()
    s.say("{a} lived on one side of a {water}, and {b} lived on the other side. Every day, they "
          "met on a little wooden bridge.",
          "There was a {water} between their homes, and over it went an old bridge.")
    s.say("One night, a storm came, and in the morning the bridge was gone.",
          "Then it rained for three days, and the water took the bridge away.",
          "One day, the old bridge broke and fell into the water.")
    s.say("\"{b}!\" called {a}. \"How can we meet now?\"",
          "{a} stood on one side, and {b} stood on the other. They could only wave.",
          "\"I cannot come over,\" called {b}. \"The water is too deep.\"")
    sad(s)
    s.paragraph()
    s.say("{a} asked {h} for help. \"We need a strong [tree|log],\" said {h}.",
          "{h} came and looked at the water. \"We can build a new bridge,\" said {h}.",
          "Then {a} had an idea. \"We can build a new bridge!\" {a.he} called.")
    s.say("{a} looked for wood near {p}, and {b} looked for rope near {q}.",
          "They carried wood and stones from {p}, piece by piece.",
          "{b} brought a long rope, and {a} found a big log near {p}.")
    s.say("It was hard work, and soon their arms were tired.",
          "They pushed and pulled from morning until evening.",
          "The first log fell into the water with a splash, but they did not give up.")
    s.maybe(0.6, "Many friends came to help.", "{h} helped them to lift the heavy log.",
            "They sang a song to make the work easy.")
    s.say("At last, the new bridge was [ready|done].", "After [two|three] days, there was a new "
          "bridge, and it was strong.")
    s.say("{a} ran from one side and {b} from the other, and they met in the middle.",
          "{a} and {b} walked over the bridge hand in hand.",
          "{b} was the first to cross it. {a} was waiting with open arms.")
    happy(s)
    closing(s, "The new bridge was there for [many years|a long time], and everyone used it.",
            "They learned that hard work is easy with many hands.", *FRIENDS_END)


def snow_day(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    s.say("One winter morning, everything was white. It had snowed all night.",
          "One morning, {a} looked out of the window and saw snow everywhere.",
          "Winter came, and the first snow fell {where}.")
    s.say("{a} put on a {color} hat and ran outside, where {b} was waiting.",
          "\"Come out!\" called {b}. \"Let us play in the snow!\" {a} ran to the door.")
    s.say("They went to {p} and made a big snowman.", "Near {p}, they rolled three big balls of "
          "snow and made a snowman.")
    s.say("{a} found two [stones|buttons] for the eyes, and {b} found a carrot for the nose.",
          "It had a carrot nose and a {color} scarf.",
          "{b} gave it a hat, and {a} gave it a smile made of little stones.")
    s.maybe(0.5, "\"He looks like {h},\" said {a}, and they laughed.",
            "\"What a fine snowman,\" said {b}.", "They named the snowman Button.")
    s.paragraph()
    s.say("But the next day, the sun was warm, and the snowman got smaller.",
          "But then the sun came out, and the snowman began to melt.",
          "After a week, the air was warm. Drip, drip, drip, went the snowman.")
    s.say("\"Our snowman is going away,\" said {a} with tears in {a.his} eyes.",
          "\"Please do not go,\" {a} said to the snowman.", "\"He is melting!\" cried {b}.")
    sad(s)
    s.say("\"Do not be sad,\" said {h}. \"The snow turns into water, and the water helps the "
          "flowers grow.\"",
          "{h} said, \"Snow goes away, but it always comes back.\"",
          "\"He will come back next winter,\" said {h}.")
    s.say("In spring, [white|yellow|blue] flowers grew in that place near {p}.",
          "When spring came, the first flower opened just where the snowman had been.",
          "{a} kept the carrot and gave it to a hungry rabbit."
          if not s.wild else "{a} kept the hat for the next snowman.")
    s.say("\"Look,\" said {b}. \"[The snowman sent us a gift|He did not forget us].\"",
          "{a} smiled and was not sad anymore.")
    closing(s, "When the next winter came, {a} and {b} made an even bigger snowman.",
            "{a} learned that nothing good is ever really lost.", *FRIENDS_END)


def found_key(s):
    """A found shiny thing goes back to its owner."""
    intro(s)
    s.v["t"] = s.rng.choice(SHINY)
    s.v["metal"] = s.rng.choice(["golden", "silver", "shiny"])
    s.v["obj"] = s.v["metal"] + " " + s.v["t"]
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} walked near {p} and saw something in the grass. It was a {obj}.",
          "{day}, {a} found a {obj} on the path to {p}.",
          "{day}, something was shining near {p}. {a} picked it up. It was a {obj}!")
    s.say("\"How pretty!\" said {a}. \"I will keep it.\"", "{a} put it in {a.his} pocket.",
          "{a} had never seen such a fine {t}.")
    s.say("But then {a.he} thought, \"Maybe someone is looking for this {t}.\"",
          "But soon {a} began to think. Who had lost the {t}?",
          "But the {t} was not {a.his}, and {a.he} knew it.")
    s.paragraph()
    s.say("{a} asked {h}, \"Is this your {t}?\" \"No,\" said {h}, \"but it is good that you ask.\"",
          "First {a} went to {h}. \"It is not mine,\" said {h}. \"Try at {q}.\"",
          "{a} showed the {obj} to {h}, but {h} did not know it.")
    s.say("Near {q}, {a} saw a {b.kind} who looked very sad. {b.his} name was {b}.",
          "Then {a} came to {q}. There sat a {b.kind} named {b}, who was crying.")
    s.say("\"I lost my {t},\" said {b}. \"It was from my [grandma|grandpa].\"",
          "\"What is wrong?\" asked {a}. \"I lost something very dear to me,\" said {b}. \"It is a "
          "{t}.\"",
          "\"I have looked all day for my {obj},\" said {b}.")
    s.say("{a} wanted to keep the {t}, but {a.he} opened {a.his} hand. \"Is this it?\"",
          "\"Is it this one?\" asked {a}, and held up the {obj}.",
          "{a} smiled and gave {b.him} the {obj}.")
    s.say("\"Yes! You found it!\" cried {b}, and hugged {a}.",
          "{b} jumped with joy. \"Thank you! Thank you!\"",
          "{b} could not believe it. \"You are so honest,\" {b.he} said.")
    s.say({"key": "\"Come, I will show you what the {t} is for,\" said {b}. It opened a little "
                  "door to a garden.",
           "bell": "{b} rang the bell, and it had a lovely sound."}.get(
               s.v["t"], "{b} put the {t} in a safe place."),
          "\"Come to my house,\" said {b}. \"We have cake.\"",
          "As a thank you, {b} gave {a} a [sweet apple|pretty shell|piece of cake].")
    happy(s)
    closing(s, "{a} lost a {t} but found a friend.",
            "{a} learned that it feels good to be honest.", *FRIENDS_END)


def wish(s):
    """A small wish, a star or fish that grants it, and a wise choice."""
    intro(s)
    family(s)
    s.v["giver"] = s.rng.choice(["star", "fairy", "bird"])
    s.v["bad"], s.v["why"] = s.rng.choice([
        ("a mountain of candy", "there was too much of it, and {a.his} belly hurt"),
        ("a big castle", "it was cold and empty, and {a.he} was all alone"),
        ("to be very tall", "{a.he} could not go through the door of {a.his} house"),
        ("a lot of gold", "it was so heavy that {a.he} could not play"),
        ("no more bedtime", "{a.he} was so tired that {a.he} could not play")])
    s.v["why"] = s.v["why"].format(**s.v)
    s.paragraph()
    one_day(s)
    where = {"star": "on the ground",
             "fairy": "stuck in a spider web", "bird": "stuck in a bush"}[s.v["giver"]]
    s.v["stuck"] = where
    s.say("{day}, {a} found a tiny golden {giver} {stuck} near {p}.",
          "{day}, near {p}, {a} saw a golden {giver}. It was {stuck}.")
    s.say("\"Please help me,\" said the {giver}, \"and I will give you [one wish|a wish].\"",
          "\"Help!\" cried the {giver}. {a} helped it at once. \"You are kind,\" it said. \"Now "
          "you have one wish.\"")
    s.say("{a} thought for a long time. \"I wish for {bad}!\" {a.he} said."
          if not s.v["bad"].startswith("to") else
          "{a} thought for a long time. \"I wish {bad}!\" {a.he} said.")
    s.say("[Whoosh|Pop|Zing]! The wish came true.", "The {giver} smiled, and there was a bright "
          "light. The wish came true.")
    s.paragraph()
    s.say("At first, {a} was very happy.", "\"Wonderful!\" said {a}.", "{a} laughed and danced.")
    s.say("But soon {a} saw that {why}.", "But the wish was not good. {why}.".replace(
        "{why}", s.v["why"][0].upper() + s.v["why"][1:]))
    s.say("{a} told {h} about it. \"Not every wish is a good wish,\" said {h}.",
          "\"Oh dear,\" said {h}. \"What do you really want?\"")
    s.say("{a} went back to {p} and called the golden {giver}.",
          "So {a} ran to {p}. \"Golden {giver}, please come back!\" {a.he} called.")
    s.say("\"I do not want it anymore,\" said {a}. \"I only want everything to be as it was.\"",
          "\"Please take it back,\" said {a}. \"I was happy before.\"")
    s.say("\"You are wise now,\" said the {giver}, and everything was as before.",
          "The {giver} laughed like a little bell, and the wish was gone.")
    s.say("{a} ran home and hugged {h}.", "{a} went home, and {h} was waiting with warm soup.",
          "{a} looked at {a.his} little home, and it was the best place in the world.")
    closing(s, "{a} learned that the best things were there all the time.",
            "From that day on, {a} was happy with what {a.he} had.",
            "Sometimes, {a} went to {p} to talk to the golden {giver}.")


def hurt_bird(s):
    intro(s)
    family(s)
    s.v["name"] = s.rng.choice(["Sky", "Song", "Feather", "Cloud"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} found a little bird near {p}. It could not fly.",
          "{day}, near {p}, {a} saw a small {color} bird on the ground.",
          "{day}, a {color} bird fell down in front of {a}. Its wing was hurt.")
    s.say("\"Oh, you poor thing,\" said {a}. \"I will take care of you.\"",
          "\"Do not be afraid,\" {a} said in a soft voice.",
          "\"My wing hurts,\" said the bird. \"I cannot fly home.\"")
    s.say("{a} carried the bird home and put it in a [basket|box] with a soft blanket.",
          "{a} wrapped the bird in a {color} scarf and took it to {h}.")
    s.say("\"It needs rest and food,\" said {h}. \"[Then it will fly again|Be very gentle].\"",
          "{h} looked at the wing. \"It will take some time,\" said {h}.")
    s.paragraph()
    s.say("{a} named the bird {name}. Every day, {a.he} gave {name} seeds and water.",
          "\"I will call you {name},\" said {a}. Every day, {name} got a little stronger.")
    s.say("In the evening, {name} sang a soft song, and {a} listened.",
          "{name} sat on {a}'s shoulder and told stories about the sky.",
          "Soon they were good friends.")
    s.say("Then the day came. {name}'s wing was well again.",
          "After [two|three] weeks, {name} could fly from the table to the window.")
    s.say("{a} was happy, but also sad. \"I will miss you,\" {a.he} said.",
          "\"You are free now,\" said {a}, and opened the window.",
          "\"A bird needs the sky,\" said {h}. {a} nodded and opened the window.")
    s.say("{name} flew up, up, up, and went around the house three times.",
          "{name} sang one more song and flew away over {q}.",
          "\"I will never forget you,\" said {name}, and flew into the blue sky.")
    closing(s, "In spring, {name} came back and sang at {a}'s window.",
            "Every morning, {a} heard {name}'s song from {q}.",
            "{a} learned that to love someone is to let them be free.")


def new_friend(s):
    s.v["bkind"] = s.v["b"].kind
    intro(s)
    s.paragraph()
    s.say("One day, a new {bkind} came to live near {p}. {b.his} name was {b}.",
          "A new family came to live near {p}. They had a {bkind} named {b}.")
    s.say("{b} did not know anyone. {b.he} sat alone and did not talk.",
          "{b} was very shy. When the others played, {b.he} only watched.",
          "Nobody played with {b}, and {b.he} looked very lonely.")
    s.say("{a} saw it and felt sorry for {b.him}.", "\"Why does no one play with {b}?\" asked {a}.",
          "{a} wanted to say hello, but {a.he} did not know how.")
    s.say("\"What can I do?\" {a} asked {h}. \"Just say hello,\" said {h}.",
          "\"A smile is a good start,\" said {h}.",
          "\"A new place can be scary,\" said {h}. \"{b} needs a friend.\"")
    s.paragraph()
    s.say("So {a} took a {obj} and went to {b}. \"Hello, I am {a},\" {a.he} said. \"Do you want to "
          "play?\"",
          "The next day, {a} went to {b} and said, \"Hello! I have a {obj}. We can play with it.\"")
    s.say("At first, {b} said nothing. Then {b.he} smiled.",
          "{b} looked at the {t}, and then {b.he} nodded.",
          "\"With me?\" asked {b}. \"Yes, with you,\" said {a}.")
    s.say("They played with the {t} near {q} until it was dark.",
          "{a} showed {b} everything: {p}, {q}, and {r}.",
          "They ran to {q}, and {b} laughed for the first time.")
    s.say("{b} could tell very funny stories, and soon the others came to listen.",
          "\"I was so afraid that no one would like me,\" said {b}. \"I like you,\" said {a}.",
          "\"You are my first friend here,\" said {b}.")
    happy(s, "b")
    closing(s, "{a} learned that one kind word can make a friend.",
            "And when someone new came, {a} and {b} were the first to say hello.", *FRIENDS_END)


def shy_song(s):
    intro(s)
    meet_friend(s)
    s.paragraph()
    s.say("Soon there was a big party near {p}, and {a} wanted to sing a song.",
          "\"Tomorrow there is a party near {p},\" said {h}. \"{a}, will you sing for us?\"")
    s.say("But {a} was afraid. \"What if they laugh at me?\" {a.he} asked.",
          "But when {a} thought about all the people, {a.his} voice was gone."
          if not s.wild else
          "But when {a} thought about all the others, {a.his} voice was gone.",
          "\"I cannot sing in front of everyone,\" said {a}.")
    s.say("\"You sing so well,\" said {b}. \"I will stand next to you.\"",
          "\"Look only at me,\" said {b}, \"and sing for me.\"",
          "\"Then we will sing together,\" said {b}.")
    s.say("They practiced near {q} every day.", "All week, they practiced near {q}, where no one "
          "could hear them.")
    s.paragraph()
    s.say("At last, it was the day of the party. Everyone was there.",
          "On the day of the party, there were {color} lanterns in the trees.")
    s.say("{a}'s knees shook. {a.he} opened {a.his} mouth, but no sound came out.",
          "{a} stood in front of everyone. It was very quiet.",
          "{a} wanted to run away, but {b} took {a.his} hand.")
    s.say("Then {b} began to sing very softly, and {a} sang too.",
          "{a} looked at {b}. {b} smiled, and {a} began to sing.",
          "{a} closed {a.his} eyes, thought of {b}, and began to sing.")
    s.say("The song was so beautiful that no one moved.", "{a.his} voice was clear like a bell.",
          "The song went up into the sky like a bird.")
    s.say("When the song was over, everyone clapped and cheered.",
          "\"More! More!\" they all called.", "{h} had tears of joy in {h.his} eyes.")
    thanks(s)
    closing(s, "After that, {a} was never afraid to sing again.",
            "{a} learned that it is easy to be brave with a friend.",
            "They sang and danced until the stars came out.", *FRIENDS_END)


def winter_food(s):
    s.v["bkind"] = s.v["b"].kind
    s.v["food"], s.v["it"] = s.rng.choice([("bread", "it"), ("cheese", "it"), ("nuts", "them"),
                                          ("apples", "them"), ("berries", "them")])
    intro(s)
    s.paragraph()
    s.say("Winter came {where}. It was very cold, and there was not much to eat.",
          "It was a long, cold winter. The snow was deep, even near {p}.")
    s.say("{a} had only a little {food} left." if s.v["it"] == "it" else
          "{a} had only a few {food} left.")
    s.say("One evening, there was a knock at the door.", "Then, one night, someone knocked.",
          "One cold night, {a} heard a weak voice at the door.")
    s.say("It was a {bkind} named {b}. {b.he} was cold and hungry.",
          "A [thin|cold|tired] {bkind} stood in the snow. \"I am {b},\" {b.he} said. \"May I come "
          "in?\"")
    s.say("{a} looked at the {food}. It was not enough for two." if s.v["it"] == "it" else
          "{a} looked at the {food}. There were not enough for two.",
          "\"If I share, I will be hungry too,\" {a} thought.")
    s.say("But {b} was shaking with cold. \"Come in,\" said {a}. \"We will share.\"",
          "Then {a} smiled. \"Come in and sit by the fire,\" {a.he} said.")
    s.paragraph()
    s.say("They sat by the fire and shared the {food}. {a} was still hungry, but {a.his} heart was "
          "warm.",
          "{a} gave {b} the bigger part of the {food} and a warm blanket.")
    s.say("{b} told stories about far lands, and they laughed until late.",
          "{b} sang an old song, and the night was not so dark anymore.")
    s.say("In the morning, {b} was gone. {a} looked out of the window.",
          "The next day, {b} said thank you and went away.",
          "When {a} woke up, {b} was not there.")
    s.say("But in the evening, {b} came back with a big basket full of {food}.",
          "Soon {b} came back with many friends, and each one brought some {food}.")
    s.say("\"You shared your last {food} with me,\" said {b}. \"Now we will share with you.\"",
          "\"This is for you,\" said {b}, \"because you have a good heart.\"")
    happy(s)
    closing(s, "They ate together all winter, and no one was hungry.",
            "{a} learned that what you give comes back to you.", *FRIENDS_END)


def little_house(s):
    intro(s)
    meet_friend(s)
    s.v["den"] = s.rng.choice(["tree house", "little hut", "tent", "secret den"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} said, \"Let us build a {den} near {p}!\" \"What a good idea!\" said {b}.",
          "{day}, {a} and {b} wanted to build a {den} near {p}.")
    s.say("They looked for wood near {q} and for leaves near {r}.",
          "{a} brought long sticks from {q}, and {b} brought an old blanket.",
          "{h} gave them some rope and a few old boards.")
    s.say("{a} wanted a round door, but {b} wanted a big window. So they made both.",
          "{b} held the sticks, and {a} tied them with rope.",
          "They worked all day, and the {den} got bigger and bigger.")
    s.paragraph()
    s.say("But in the night, a strong wind came. In the morning, the {den} lay on the ground.",
          "Then {b} pulled at one stick, and crash, everything fell down.",
          "But when they went inside, the roof fell on their heads.")
    s.say("\"All our work was for nothing,\" said {b}.", "\"Oh no, our {den}!\" cried {a}.",
          "First they were sad, but then they looked at each other and laughed.")
    s.say("\"We can build it again,\" said {a}, \"and this time we make it stronger.\"",
          "{h} came by and said, \"Put the big stones at the bottom. Then it will stand.\"",
          "\"Let us try again,\" said {a}. \"Now we know how to do it.\"")
    s.say("They put big stones on the ground and used more rope.",
          "This time they worked slowly and with care.")
    s.say("In the evening, the new {den} was [ready|done], and it was strong.",
          "At last, it was done. It was the best {den} in the world.")
    s.say("They hung a {color} lantern inside and ate {a.his} mother's cake.",
          "They sat inside and told stories until the stars came out.",
          "They painted the door {color} and wrote their names on it.")
    happy(s)
    closing(s, "{a} and {b} met in the {den} every day.",
            "They learned that you can always start again.", *FRIENDS_END)


def moon(s):
    intro(s)
    family(s)
    s.v["light"] = s.rng.choice(["moon", "brightest star"])
    s.paragraph()
    s.say("Every night, {a} looked at the {light}. \"I want to touch it,\" {a.he} said.",
          "One night, the {light} was so bright that {a} wanted to have it.")
    s.say("{a} climbed on a chair, but the {light} was too far away.",
          "First {a.he} stood on the table and reached up. It was not high enough.")
    s.say("The next night, {a.he} climbed the tallest tree near {p}. The {light} was "
          "still too far.",
          "Then {a.he} went to {p} and jumped as high as {a.he} could.")
    friend_comes(s)
    s.say("\"What are you doing?\" asked {b}. \"I want to touch the {light},\" said {a}.",
          "\"Can you help me catch the {light}?\" asked {a}.")
    s.say("\"Let us try together,\" said {b}. They climbed the highest hill, but the {light} was "
          "no closer.",
          "{b} threw a rope into the sky, but it only fell down again.")
    sad(s)
    s.paragraph()
    s.say("They went to {h} and told {h.him} everything. {h} smiled. \"Come with me,\" "
          "{h.he} said.",
          "{h} heard them and said, \"I know where you can touch the {light}.\"")
    s.say("{h} put a big bowl of water on the ground. There, in the water, was the {light}!",
          "{h} took them to still water near {q}. The {light} was shining in the water.")
    s.say("{a} touched the water with one finger, and the {light} danced.",
          "Very softly, {a} put {a.his} hand into the water and touched the {light}.")
    s.say("\"I did it!\" {a} whispered.", "\"It is cool and wet,\" said {a}, and they all laughed.",
          "\"Now it is our {light},\" said {b}.")
    happy(s)
    closing(s, "The {light} is there for everyone, and {a} was glad about it.",
            "{a} learned that there is always another way.",
            "And high above them, the {light} was shining too.", *FRIENDS_END)


def messy_room(s):
    intro(s)
    family(s)
    s.v["bkind"] = s.v["b"].kind
    s.say("But {a} did not like to clean. {a.his} things were all over the floor.",
          "There was only one problem. {a} never put anything away.")
    s.paragraph()
    one_day(s)
    s.say("{day}, {h} said, \"Please clean your room.\" \"Later,\" said {a}.",
          "{day}, {h} looked into {a}'s room. \"What a mess!\" said {h}. \"I like it,\" said {a}.")
    s.say("Then {a.his} friend {b}, a cheerful {bkind}, came to the door. \"Let us go to {p}! "
          "Bring your {obj}!\"",
          "Just then, {b} the {bkind} called, \"Come to {p}! We need your {obj}!\"")
    s.say("{a} looked for the {t}. It was not under the bed. It was not behind the chair.",
          "{a} looked and looked, but {a.he} could not find the {obj}.",
          "But where was the {t}? There were books and socks and boxes, but no {t}.")
    s.say("{a} stepped on something and fell. \"Ouch!\" {a.he} cried.",
          "\"I cannot find anything in here!\" said {a}.",
          "Outside, {b} waited and waited.")
    s.paragraph()
    s.say("\"I will help you,\" said {b}. \"We can make it a game.\"",
          "{b} came in and said, \"Two can clean faster than one.\"")
    s.say("They put the books on the shelf and the socks in the box.",
          "They sang a song, and with every word they put one thing away.",
          "{a} took the big things, and {b} took the small things.")
    s.say("And there, at the bottom of it all, was the {obj}!",
          "Under the last sock was the {obj}!",
          "\"Look what I found!\" said {b}. It was the {obj}.")
    s.say("The room was so [clean|big] that they could dance in it.",
          "{h} came in and could not believe {h.his} eyes.",
          "\"Well done,\" said {h}. \"Now you can go and play.\"")
    s.say("{a} and {b} took the {t} and ran to {p}.", "Then they went to {p} and played with the "
          "{t} all day.")
    closing(s, "From then on, {a} put {a.his} things away every evening.",
            "{a} learned that it is easy to find things in a clean room.", *FRIENDS_END)


def treasure_map(s):
    intro(s)
    meet_friend(s)
    s.v["gold"] = s.rng.choice(["old toys", "silver coins", "shiny stones", "sweet candy",
                                "old letters"])
    s.paragraph()
    one_day(s)
    s.say("{day}, {a} found an old map in [a book|a box|the house of {h}]."
          if "his" not in s.v["h"].name and "her" not in s.v["h"].name else
          "{day}, {a} found an old map in [a book|a box].",
          "{day}, the wind blew a piece of paper to {a}. It was a map!")
    s.say("\"It shows a treasure!\" said {b}. \"Let us find it!\"",
          "There was a red cross on it. \"A treasure!\" whispered {b}.")
    s.say("First the map led them to {p}. There was {color} paint on a stone.",
          "\"We must start at {p},\" said {a}.", "The first mark on the map was {p}.")
    s.say("Then they went to {q}. They had to jump over a [stream|log] and climb over a wall.",
          "From there they counted one hundred steps to {q}.")
    s.maybe(0.6, "\"I am tired,\" said {b}. \"Only a little more,\" said {a}.",
            "\"Are you sure that this is the right way?\" asked {b}.",
            "The sun was hot, and their feet were tired.")
    s.paragraph()
    s.say("At last, they came to {r}. \"The cross is here,\" said {a}.",
          "The last mark was {r}. They ran the last part of the way.")
    s.say("They began to dig. Soon they hit something hard. It was a [wooden|small|big] box!",
          "{a} moved a big stone, and under it was a [wooden|small|big] box.")
    s.say("Slowly, {b} opened it. It was full of {gold}!", "Inside the box, there were {gold}."
          if s.v["gold"] != "sweet candy" else "Inside the box, there was a lot of sweet candy.")
    s.say("\"I hid this box when I was as small as you,\" said {h}, who had come after them.",
          "There was also a letter. It said, \"For the one who finds it. Please share it.\"")
    s.say("They shared the {gold} with all their friends.",
          "{a} and {b} each took one half, and gave some to {h}.",
          "\"The best part was the way,\" said {b}, and {a} nodded.")
    happy(s)
    closing(s, "Then they hid a new box for someone else to find.",
            "{a} learned that a friend is the best treasure.", *FRIENDS_END)


PLOTS = [lost_thing, stuck_thing, lost_baby, afraid, baking, sharing, broken_thing, picnic,
         garden, race, gift, sick_friend, lost_way, learning, night_noise, broken_bridge,
         snow_day, found_key, wish, hurt_bird, new_friend, shy_song, winter_food,
         little_house, moon, messy_room, treasure_map]


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
