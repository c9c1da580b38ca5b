"""The formulas of the synthetic bank, each a function of a Draw; `synthetic_sounds.json` has their
lengths in seconds and their names.

What a formula draws first comes first in it: another order gives another sound.
"""

import numpy as np


def decay(rate: float, t: np.ndarray) -> np.ndarray:
    """What dies away from t = 0 on, rate in 1/s."""
    return np.exp(-rate * t)


def alarm_clock(d):
    tone = d.tone(d.vary(2000), (1, 0, 0.4))
    ringing = d.t % 0.5 < 0.3
    clapper = d.t % 0.5 % 0.08 < 0.04
    return tone * ringing * clapper


def siren(d):
    centre = d.vary(800)
    pitch = centre * (1 + 0.35 * d.sine(d.vary(1.1)))
    return d.tone(pitch, (1, 0.4, 0.2))


def telephone(d):
    strikes = d.sine(d.vary(20)) > 0
    ringing = d.t % 0.9 < 0.6
    bells = d.tone(d.vary(1300)) + d.tone(d.vary(1650))
    return strikes * ringing * bells


def beating_heart(d):
    beat = d.every(d.vary(0.8))
    second = np.where(beat > 0.25, decay(25, beat - 0.25), 0)
    beats = decay(25, beat) + 0.7 * second
    return beats * d.tone(d.vary(60), (1, 0.5))


def clock(d):
    click = d.noise(2000, 5000)
    return click * decay(250, d.every(d.vary(0.5)))


def church_bell(d):
    f = d.vary(420)
    partials = {0.5: 1, 1: 2, 1.2: 2.5, 1.5: 3, 2: 3.5, 2.7: 5}  # multiple of f -> decay
    return sum(d.sine(multiple * f) * decay(rate, d.t) for multiple, rate in partials.items())


def drum(d):
    hit = d.every(d.vary(0.4))
    return decay(9, hit) * np.sin(2 * np.pi * d.vary(110) * hit * np.exp(-hit))


def rain_shower(d):
    falls = d.rng.random(len(d.t)) < 0.004
    drops = falls * d.rng.normal(0, 5, len(d.t))
    pattering = np.convolve(drops, np.exp(-np.arange(60) / 10))[: len(d.t)]
    return pattering + 0.5 * d.noise(1500, 6000)


def strong_wind(d):
    rate = d.vary(0.8)
    gust = 0.6 + 0.4 * d.sine(rate, d.rng.uniform(0, 6))
    blowing = gust * d.noise(200, 500)
    howling = 0.3 * d.noise(550, 650) * gust**2
    return blowing + howling


def ocean_wave(d):
    wave = d.arch**2
    water = d.noise(100, 900) * wave
    foam = d.noise(1000, 5000) * wave**4
    return water + foam


def clap_of_thunder(d):
    rumble = d.noise(40, 150) * decay(1.5, d.t)
    crack = d.noise(150, 2500) * decay(7, d.t)
    return rumble + crack


def engine(d):
    strokes = decay(4, d.t * d.vary(38) % 1)
    return strokes * (1 + 0.4 * d.noise(80, 600)) - 0.25


def helicopter(d):
    blades = d.noise(80, 800)
    return blades * decay(4, d.t * d.vary(12) % 1)


def propeller_plane(d):
    pitch = d.vary(130) * (1.05 - 0.1 * d.t / d.t[-1])
    harmonics = tuple(1 / k for k in range(1, 12))
    return d.tone(pitch, harmonics) * d.arch


def steam_locomotive(d):
    steam = d.noise(300, 3000)
    return steam * decay(8, d.every(d.vary(0.3)))


def foghorn(d):
    return d.tone(d.vary(140), (1, 0.8, 0.6, 0.3, 0.2)) * d.swell(8)


def small_bird(d):
    note = d.every(d.vary(0.23))
    loudness = np.sin(np.pi * note / 0.15) * (note < 0.15)
    pitch = d.vary(3600) + 1200 * np.sin(2 * np.pi * 9 * note)
    return loudness * d.tone(pitch)


def drop_of_water(d):
    fall = d.every(d.vary(0.45))
    pitch = d.vary(700) + 3000 * fall
    return decay(22, fall) * np.sin(2 * np.pi * pitch * fall)


def buzzer(d):
    square = np.sign(d.tone(d.vary(180)))
    return square * (1 + 0.3 * np.sign(d.tone(95)))


def whistle(d):
    pea = 1 + 0.04 * np.sign(d.sine(35))
    tone = d.tone(d.vary(2500) * pea)
    return tone + 0.2 * d.noise(2000, 3500)


def rising_tone(d):
    return d.tone(d.vary(250) * 9 ** (d.t / d.t[-1]))


def falling_tone(d):
    return d.tone(d.vary(2250) * 9 ** (-d.t / d.t[-1]))


def typewriter(d):
    strokes = np.cumsum(d.rng.uniform(0.09, 0.2, 30))
    return decay(90, d.since(strokes)) * d.noise(900, 4000)


def geiger_counter(d):
    click = d.noise(3000, 7000)
    clicks = np.cumsum(d.rng.exponential(0.04, 200))
    return click * decay(900, d.since(clicks))


def flute(d):
    breath = 0.08 * d.noise(800, 4000)
    pitch = d.vary(620) * (1 + 0.01 * d.sine(5.5))
    return (breath + d.tone(pitch, (1, 0.25, 0.08))) * d.swell(12)


def organ(d):
    chord = d.vary(260) * np.array([1, 1.25, 1.5])
    return sum(d.tone(f, (1, 0.7, 0.1, 0.5, 0, 0, 0, 0.3)) for f in chord)


def car_horn(d):
    f = d.vary(410)
    low = d.tone(f, (1, 0.9, 0.8, 0.6, 0.4, 0.3))
    high = d.tone(1.26 * f, (1, 0.9, 0.8, 0.6, 0.4))
    return (low + high) * ((d.t < 0.3) | (d.t > 0.5))


def untuned_radio(d):
    noise = d.rng.standard_normal(len(d.t))
    station = d.tone(d.vary(1000) * (1 + 0.5 * d.sine(0.7)))
    return noise + 0.3 * station


def electronic_beep(d):
    return d.tone(d.vary(1000)) * (d.t % 0.5 < 0.25)
