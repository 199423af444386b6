"""The numbers that claims are judged by; what is planted for positive controls is made from them."""

RISE = 0.1  # nats
FALL = 0.2  # share of a jump
SHAPE = 0.02  # nats
ORDER = 0.1  # nats
TOLD = 0.1  # nats
DECAY = 0.05  # of a gain, per factor 10 in steps
DEDUP = 0.1  # nats
WIDTH = 0.22  # log e
STAGE = 0.22  # log e
KEPT = 0.1  # share of a gain
BATCH = 0.05  # of a gain, per factor 10 in steps
CLIMB = 0.2  # of a jump, an exposure
STILL = 0.1  # of a jump, an exposure
