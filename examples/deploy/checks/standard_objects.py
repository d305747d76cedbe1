"""Prints the objects of a file that are not custom resources: standard_objects.py FILE"""

import pathlib
import sys

import yaml
from custom_groups import CUSTOM_GROUPS

objects = [each for each in yaml.safe_load_all(pathlib.Path(sys.argv[1]).read_text()) if each]
yaml.safe_dump_all([each for each in objects if each["apiVersion"].split("/")[0] not in CUSTOM_GROUPS], sys.stdout)
