#!/usr/bin/env python3
"""Writes src/model/emergency/table.tsv: `python3 tests/lab/emergency.py > src/model/emergency/table.tsv`.

The numbers are those of the PyPI package `phonenumbers` in the version of phonenumbers.txt. It carries the
short-number data of libphonenumber, which are patterns: each number that a pattern matches is written out.
"""

import re
from importlib.metadata import version

from phonenumbers import PhoneMetadata
from phonenumbers.shortnumberinfo import SUPPORTED_SHORT_REGIONS

print(f"# The emergency numbers of each country (ISO 3166-1 code), from the PyPI package phonenumbers {version('phonenumbers')}:")
print("# the short-number data of libphonenumber, Copyright (C) The Libphonenumber Authors, Apache License 2.0, with the")
print("# patterns written out as numbers. Written by tests/lab/emergency.py; a test compares. Do not edit.")
for country in sorted(SUPPORTED_SHORT_REGIONS):
    emergency = PhoneMetadata.short_metadata_for_region(country).emergency
    if emergency is None or emergency.national_number_pattern is None:
        continue
    pattern = re.compile(emergency.national_number_pattern)
    lengths = emergency.possible_length or PhoneMetadata.short_metadata_for_region(country).general_desc.possible_length
    numbers = [
        number
        for length in sorted(lengths)
        for number in (str(digits).zfill(length) for digits in range(10**length))
        if pattern.fullmatch(number)
    ]
    print(f"{country}\t{' '.join(sorted(numbers))}")
