"""The numbers that claims are judged by; what is planted for positive controls is made from them."""

RISE = 0.1  # nats
FALL = 0.2  # share of a jump
SHAPE = 0.13  # nats; the pilot's spread over runs is 0.124
ORDER = 0.11  # nats; the pilot's spread of the smaller step is 0.105
TOLD = 0.1  # nats
DECAY = 0.05  # of a gain, per factor 10 in steps
DEDUP = 0.1  # nats
WIDTH = 0.22  # log e
STAGE = 0.22  # log e
KEPT = 0.1  # share of a gain
BATCH = 0.05  # of a gain, per factor 10 in steps
CLIMB = 0.2  # of a jump, an exposure
STILL = 0.1  # of a jump, an exposure
