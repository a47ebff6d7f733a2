"""Memory banks of bounded size and the policies that decide what stays in them."""

from rotoscope.memory.bank import MemoryBank
from rotoscope.memory.by_object import ObjectBank
from rotoscope.memory.policies import EveryK, FirstLatest, LeastFrequentlyUsed, Policy, SupportSet, parse_policy

__all__ = [
    "EveryK",
    "FirstLatest",
    "LeastFrequentlyUsed",
    "MemoryBank",
    "ObjectBank",
    "Policy",
    "SupportSet",
    "parse_policy",
]
