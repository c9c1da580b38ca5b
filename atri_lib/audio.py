"""What every waveform of this library is: mono, float32 from -1 to 1, at one rate."""

SAMPLE_RATE = 16_000
