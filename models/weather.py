#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Write short weather reports from a hand-made grammar, for the second model of this folder.

A report has a town, a day, a sky, temperatures that fit the season and a piece of advice that fits
the sky. The town and the days stay the same to the end, and warmer or colder is true.

    weather.py --seed 1 --count 40 > reports.txt
"""

import argparse
import random

from generate import SEPARATOR

TOWNS = "Athens Bern Cairo Delhi Kyoto Lima Oslo Paris Quito Rome Tokyo Vienna".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
WINDS = "north south east west".split()

# season: (lowest and highest temperature, skies)
SEASONS = {
    "winter": (2, 9, ["snowy", "foggy", "cloudy", "clear"]),
    "spring": (8, 16, ["rainy", "windy", "cloudy", "sunny"]),
    "summer": (20, 32, ["sunny", "hot", "stormy", "clear"]),
    "autumn": (6, 14, ["rainy", "foggy", "windy", "cloudy"]),
}

# sky: (what happens, advice)
SKIES = {
    "snowy": ("Snow falls on the streets", "Wear warm boots"),
    "foggy": ("The fog is thick near the river", "Drive slowly"),
    "cloudy": ("Gray clouds cover the sky", "Keep a coat near the door"),
    "clear": ("The sky is blue from end to end", "Look at the stars at night"),
    "rainy": ("Rain falls on the roofs", "Take an umbrella"),
    "windy": ("Leaves fly through the streets", "Hold on to your hat"),
    "sunny": ("The sun shines on the gardens", "Have lunch outside"),
    "hot": ("The air is still and dry", "Drink a lot of water"),
    "stormy": ("Thunder rolls over the hills", "Stay at home"),
}


def story(rng):
    """One report."""
    season = rng.choice(list(SEASONS))
    low, high, skies = SEASONS[season]
    town, day, (sky, later) = rng.choice(TOWNS), rng.randrange(7), rng.sample(skies, 2)
    today, noon, tomorrow = (rng.randint(low, high) for _ in range(3))
    change = "warmer" if noon > today else "colder" if noon < today else "no warmer"
    event, advice = SKIES[sky]
    lines = [
        rng.choice(["Weather for %s, %s." % (town, DAYS[day]),
                    "%s, %s." % (town, DAYS[day]),
                    "This is the weather in %s on %s." % (town, DAYS[day])]),
        rng.choice(["It is a %s %s day, with %d degrees in the morning." % (sky, season, today),
                    "The morning is %s, with %d degrees." % (sky, today)]),
        rng.choice([event + ".", event + ", and the wind comes from the %s." % rng.choice(WINDS)]),
        rng.choice(["At noon it gets %s, with %d degrees." % (change, noon),
                    "By noon it is %s, with %d degrees." % (change, noon)]),
        rng.choice([advice + ".", advice + " in %s today." % town]),
    ]
    change = "warmer" if tomorrow > noon else "colder" if tomorrow < noon else "no warmer"
    lines.append("\n%s will be %s and %s, with %d degrees."
                 % (DAYS[(day + 1) % 7], later, change, tomorrow))
    event, advice = SKIES[later]
    lines.append(rng.choice([advice + "!", "Then %s." % (advice[0].lower() + advice[1:])]))
    if rng.random() < 0.5:
        lines.append(rng.choice(["That was the weather for %s." % town,
                                 "Have a good %s, %s!" % (DAYS[day], town)]))
    return " ".join(lines).replace(" \n", "\n")


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
