"""Simulated doorways with truth: bodies, arms, receivers, knocks; the same for the same seed.

In reading order:

    bodies         bodies that move through two beams
    receivers      what receivers and contacts make of that
    sketch         edges in one line of text, for tests
    scenes         a few people (or a coat) at one door
    steps          people who walk in steps, with bags, and chat
    widths         doors with a width, people with shoulders
    parties        whole parties by one opening of the door
    nights         a whole evening: how often does the house ask?
    wall           what two sensors on one wall hear
    any_wall       walls, feet and music of many kinds
    another_wall   an hour of knocks by another author, varied
    folder         scenes in a folder, by whoever made them
    score          what was decided, against the truth
    rivals         three published ways to count
"""
